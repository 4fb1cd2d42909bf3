// Package pluginhost holds the licences of the program pluginhost: its own, and those
// of the modules that are linked into it.
package pluginhost

import _ "embed" // the files

//go:generate go run ./internal/notices/generate THIRD_PARTY_NOTICES

//go:embed LICENSE
var license string

//go:embed THIRD_PARTY_NOTICES
var thirdPartyNotices string

// License is the licence of the program itself.
func License() string { return license }

// ThirdPartyNotices are the licences and notices of Go and of every module that is
// linked into the program on any system that it is built for.
func ThirdPartyNotices() string { return thirdPartyNotices }
