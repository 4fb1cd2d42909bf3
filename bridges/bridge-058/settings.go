package main

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pluginhost/pluginhost/sdk/excerpt"
)

// section is where the settings stand. A plugin is not told the name of its folder.
const section = "[PluginConfig.<folder name>]"

const (
	defaultURL     = "http://127.0.0.1:8080"
	defaultTimeout = 8 * time.Second
	minTimeout     = 100 * time.Millisecond
	maxTimeout     = time.Minute
	maxURL         = 2 << 10 // bytes
	maxPlugin      = 255     // bytes of the id of a plugin
	maxUnknown     = 5       // settings that are named as unknown
)

// secret is what a token of a pluginhost looks like.
var secret = regexp.MustCompile(`^ph_[a-z2-7]{52}$`)

// settings are the entries of the section.
type settings struct {
	url     string // without a slash at the end
	token   string
	plugin  string // empty is the agent set
	timeout time.Duration
}

// read reads the entries. The error names each that is wrong, what it should be, and where it stands.
func read(entries map[string]string) (settings, error) {
	s := settings{token: strings.TrimSpace(entries["token"]), plugin: strings.TrimSpace(entries["plugin"])}
	var faults []string
	note := func(err error) {
		if err != nil {
			faults = append(faults, err.Error())
		}
	}
	var err error
	s.url, err = readURL(strings.TrimSpace(entries["url"]))
	note(err)
	note(checkToken(s.token))
	note(checkPlugin(s.plugin))
	s.timeout, err = readTimeout(strings.TrimSpace(entries["timeout"]))
	note(err)
	note(checkNames(entries))
	if len(faults) > 0 {
		return settings{}, fmt.Errorf("settings in %s of Navidrome's configuration: %s", section, strings.Join(faults, "; "))
	}
	return s, nil
}

// readURL returns an address without a slash at the end. What is wrong is shown, unless a password may be in it.
func readURL(text string) (string, error) {
	if text == "" {
		return defaultURL, nil
	}
	want := fmt.Sprintf("the address of a pluginhost's --http, such as url = %q", defaultURL)
	address, err := url.Parse(text)
	switch {
	case len(text) > maxURL:
		return "", fmt.Errorf("url has more than %d bytes: it is %s", maxURL, want)
	case strings.Contains(text, "@"):
		return "", fmt.Errorf("url has an @, as before a host with a password: it is %s, and what lets the bridge in is token", want)
	case err != nil || address.Scheme != "http" && address.Scheme != "https" || address.Hostname() == "":
		return "", fmt.Errorf("url is %s, which does not begin with http:// or https:// and a host: it is %s", excerpt.Quoted(text), want)
	case strings.ContainsAny(text, "?#"):
		return "", fmt.Errorf("url is %s, with a ? or #: it is %s", excerpt.Quoted(text), want)
	}
	return address.Scheme + "://" + address.Host + strings.TrimRight(address.EscapedPath(), "/"), nil
}

// checkToken never shows the token.
func checkToken(token string) error {
	const want = "make one with pluginhost token create --scope call, and set token to what that prints"
	switch {
	case token == "":
		return errors.New("token is missing: " + want)
	case !secret.MatchString(token):
		return errors.New("token is not ph_ and 52 lower-case letters and digits from 2 to 7: " + want)
	default:
		return nil
	}
}

func checkPlugin(id string) error {
	const want = "set plugin to an id that pluginhost plugin list shows, or leave it out to ask all agents there"
	switch {
	case len(id) > maxPlugin:
		return fmt.Errorf("plugin has %d bytes, and an id at most %d: %s", len(id), maxPlugin, want)
	case id == ".", id == "..", !utf8.ValidString(id), strings.ContainsFunc(id, unicode.IsControl):
		return fmt.Errorf("plugin is %s, which is no id: %s", excerpt.Quoted(id), want)
	default:
		return nil
	}
}

// readTimeout takes a duration, or a number of seconds.
func readTimeout(text string) (time.Duration, error) {
	if text == "" {
		return defaultTimeout, nil
	}
	timeout, err := time.ParseDuration(text)
	if err != nil {
		timeout, err = time.ParseDuration(text + "s")
	}
	if err != nil || timeout < minTimeout || timeout > maxTimeout {
		return 0, fmt.Errorf("timeout is %s: set it to how long a plugin may take, from %v to %v, such as timeout = \"8s\"", excerpt.Quoted(text), minTimeout, maxTimeout)
	}
	return timeout, nil
}

// checkNames finds misspelt settings, which would go unnoticed.
func checkNames(entries map[string]string) error {
	var unknown []string
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		switch key {
		case "url", "token", "plugin", "timeout":
		default:
			unknown = append(unknown, excerpt.Quoted(key))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	more := ""
	if len(unknown) > maxUnknown {
		unknown, more = unknown[:maxUnknown], " and others"
	}
	return fmt.Errorf("there is no setting %s%s: there are url, token, plugin and timeout", strings.Join(unknown, ", "), more)
}

// address is where a method is asked.
func (s settings) address(method string) string {
	if s.plugin == "" {
		return s.url + pathAgents + "/" + method
	}
	return s.url + pathPlugins + "/" + url.PathEscape(s.plugin) + "/" + method
}
