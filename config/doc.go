// Package config is what a replica can be told: the settings, what they are where nobody sets them, what they take, where
// they come from (a file, variables and flags), and what it takes to change them. The table of all settings is in
// settings.go.
package config
