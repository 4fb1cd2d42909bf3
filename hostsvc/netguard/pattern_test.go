package netguard_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
)

func TestAPatternMatchesURLs(t *testing.T) {
	tests := []struct {
		pattern string
		yes, no []string
	}{
		// The rows of the original's table, with the differences of this host.
		{"https://coverartarchive.org",
			[]string{"https://coverartarchive.org/release/x", "https://coverartarchive.org", "https://coverartarchive.org/?q=1#f"},
			[]string{"http://coverartarchive.org/release/x", "https://coverartarchive.org.evil.com/", "https://x.coverartarchive.org/"}},
		{"https://*.archive.org",
			[]string{"https://us.archive.org/1", "https://ia8.us.archive.org/1"},
			[]string{"https://archive.org/x", "https://.archive.org/x", "https://evilarchive.org/", "https://us.archive.org.evil.com/"}},
		{"https://*.example.com", []string{"https://1.2.3.example.com/"}, nil},
		{"https://a.com/v1/*",
			[]string{"https://a.com/v1", "https://a.com/v1/", "https://a.com/v1/x", "https://a.com/v1/x/y"},
			[]string{"https://a.com/v1x", "https://a.com/v1beta/x", "https://a.com/", "https://a.com/V1/x"}},
		{"https://a.com/*",
			[]string{"https://A.com/x", "https://a.com", "https://a.com./x", "https://a.com:443/x", "https://a.com:/x"},
			[]string{"https://a.com:8443/x"}},
		{"https://a.com/a/*/c", []string{"https://a.com/a/*/c", "https://a.com/a/%2A/c"}, []string{"https://a.com/a/b/c"}},
		{"https://a.com/foo*", []string{"https://a.com/foo*"}, []string{"https://a.com/foo", "https://a.com/foobar"}},
		{"https://a.com/foo", []string{"https://a.com/foo?x=1", "https://a.com/%66oo", "https://a.com/foo#f"}, []string{"https://a.com/foo/", "https://a.com/foobar"}},
		{"https://a.com/x/*", []string{"https://a.com/x/y/../z"},
			[]string{"https://a.com/x/../secret", "https://a.com/x/%2e%2e/secret", "https://a.com/x/..%2Fsecret", `https://a.com/x/..\secret`, "https://a.com/x/..%5csecret", "https://a.com/x/..;/secret", "https://a.com/x%2Fy"}},
		{"https://api.example.com:*",
			[]string{"https://api.example.com:8080/any", "https://api.example.com/"},
			[]string{"https://api.example.com:8080@evil.com/", "http://api.example.com:8080/"}},
		{"https://*", []string{"https://anything.example/x", "https://anything.example:8443/x", "https://[2001:db8::1]/"}, []string{"http://anything.example/x"}},
		{"/foo/*", []string{"http://a.com/foo/x", "https://b.com:8443/foo"}, []string{"http://a.com/foox"}},
		{"https://192.168.*.*/*", []string{"https://192.168.1.7/x"}, []string{"https://192.168.1.7:8443/x", "https://192.168.evil.com/x", "https://192.169.1.7/x"}},
		{"*", []string{"http://a.com:81/x", "wss://b.com/", "https://[::1]:1/"}, []string{"ftp://a.com/", "a.com", "/x", ""}},

		// Schemes.
		{"http*://a.com", []string{"http://a.com/x", "https://a.com/x"}, []string{"ws://a.com/", "https://a.com:80/", "http://a.com:443/"}},
		{"ws*://a.com", []string{"ws://a.com/x", "wss://a.com/x"}, []string{"http://a.com/x"}},
		{"*://a.com", []string{"http://a.com/x", "wss://a.com/x"}, nil},
		{"//a.com/x", []string{"http://a.com/x", "https://a.com/x"}, []string{"https://a.com/y"}},
		{"wss://*", []string{"wss://gateway.example/?v=10"}, []string{"ws://gateway.example/", "https://gateway.example/"}},
		{"HTTPS://A.com./x", []string{"https://a.com/x"}, nil},

		// Ports.
		{"http://a.com:8080", []string{"http://a.com:8080/x", "http://a.com:08080/x"}, []string{"http://a.com/x", "http://a.com:80800/"}},
		{"http://a.com:80", []string{"http://a.com/x"}, []string{"http://a.com:81/x"}},
		{"https://*:8443", []string{"https://a.com:8443/"}, []string{"https://a.com/"}},

		// Wildcards in the host.
		{"https://admin.*.example.com", []string{"https://admin.eu.example.com/x"}, []string{"https://admin.example.com/", "https://admin.a.b.example.com/"}},
		{"https://api-*.example.com", []string{"https://api-1.example.com/"}, []string{"https://api-.example.com/", "https://api-1.x.example.com/"}},
		{"https://a*b*c.com", []string{"https://axbxc.com/", "https://abbbc.com/"}, []string{"https://abc.com/", "https://axbc.com/", "https://abxc.com/", "https://ac.com/", "https://a.com/"}},
		{"https://*example.com", []string{"https://myexample.com/"}, []string{"https://example.com/", "https://x.example.com/"}},
		{"https://*.*.example.com", []string{"https://a.b.example.com/", "https://a.b.c.example.com/"}, []string{"https://a.example.com/"}},
		{"http://10.*", []string{"http://10.1.2.3/"}, []string{"http://10.com/", "http://10.1.2.com/", "http://11.1.2.3/"}},
		{"http://192.168.1*.5", []string{"http://192.168.12.5/"}, []string{"http://192.168.1.5/", "http://192.168.2.5/"}},
		{"http://*.*.*.*", []string{"http://a.b.c.d/"}, []string{"http://1.2.3.4/"}},
		{"http://*.com", nil, []string{"http://[2001:db8::1]/"}},

		// IP addresses have one spelling.
		{"http://[::1]:8080", []string{"http://[::1]:8080/", "http://[0:0:0:0:0:0:0:1]:8080/"}, []string{"http://[::2]:8080/"}},
		{"http://127.0.0.1", []string{"http://127.0.0.1/", "http://[::ffff:127.0.0.1]/"}, []string{"http://127.1/", "http://2130706433/"}},
		{"http://[fe80::1%25eth0]", []string{"http://[fe80::1%25eth0]/"}, []string{"http://[fe80::1%25eth1]/", "http://[fe80::1]/"}},

		// Paths.
		{"https://a.com/", []string{"https://a.com", "https://a.com/", "https://a.com/x/.."}, []string{"https://a.com/x"}},
		{"https://*.a.com/", []string{"https://x.a.com/any"}, nil},
		{"https://a.com/v1/?ignored=*", []string{"https://a.com/v1/"}, []string{"https://a.com/v1"}},
		{"https://a.com?ignored", []string{"https://a.com/any"}, nil},
		{"https://a.com/a b/*", []string{"https://a.com/a%20b/c"}, nil},
		{"https://a.com/ü", []string{"https://a.com/%C3%BC", "https://a.com/%c3%bc"}, nil},
		{"https://a.com/AC%2FDC", []string{"https://a.com/AC%2fDC"}, []string{"https://a.com/AC/DC"}},
		{"https://a.com/AC/DC", nil, []string{"https://a.com/AC%2FDC"}},
		{"https://a.com/100%25", []string{"https://a.com/100%25"}, nil},
		{"https://a.com/x%2Fy", nil, []string{"https://a.com/x%252Fy"}},
		{"https://a.com/go/https://*", []string{"https://a.com/go/https://b.com/x"}, []string{"https://a.com/go/http://b.com/x"}},
	}
	for _, test := range tests {
		pattern, err := netguard.ParsePattern(test.pattern)
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
			continue
		}
		for _, u := range test.yes {
			if !pattern.Match(u) {
				t.Errorf("%s does not match %s", test.pattern, u)
			}
		}
		for _, u := range test.no {
			if pattern.Match(u) {
				t.Errorf("%s matches %s", test.pattern, u)
			}
		}
	}
}

func TestAPatternThatMeansNothingIsRefused(t *testing.T) {
	for name, pattern := range map[string]string{
		"nothing":                   "",
		"too long":                  "https://a.com/" + strings.Repeat("x", netguard.MaxPatternLength),
		"no scheme":                 "api.example.com/*",
		"a port but no scheme":      "localhost:8080/x",
		"another scheme":            "ftp://a.com/*",
		"a wildcard in the scheme":  "h*p://a.com",
		"no host":                   "https:///x",
		"user information":          "https://user@a.com",
		"an empty label":            "https://a..com",
		"two stars":                 "https://**.com",
		"a host in Unicode":         "https://müller.de",
		"a host with a space":       "https://a .com",
		"a bad port":                "https://a.com:x",
		"port 0":                    "https://a.com:0",
		"a port out of range":       "https://a.com:65536",
		"a wildcard in the port":    "https://a.com:80*",
		"IPv6 without brackets":     "https://::1",
		"a name in brackets":        "https://[a.com]",
		"a wildcard in IPv6":        "https://[fe80::*]",
		"IPv4 with too few parts":   "https://192.*.1",
		"IPv4 in another notation":  "https://127.1",
		"IPv4 with too many parts":  "https://1.2.3.4.*",
		"dot segments":              "https://a.com/v1/../*",
		"encoded dot segments":      "https://a.com/%2e%2e/x",
		"hidden dot segments":       "https://a.com/..%2fx",
		"a bad escape":              "https://a.com/%zz",
		"a control character":       "https://a.com/\n",
		"a backslash in the host":   `https://a.com\b/`,
		"a regular expression":      "https://(a|b).com/.*",
		"a host that is too long":   "https://" + strings.Repeat("a.", 130) + "com",
		"a label that is too long":  "https://" + strings.Repeat("a", 64) + ".com",
		"a colon after the bracket": "https://[::1]x:80",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := netguard.ParsePattern(pattern); !errors.Is(err, netguard.ErrPattern) {
				t.Fatalf("ParsePattern(%q) = %v, want ErrPattern", pattern, err)
			}
		})
	}
}

func TestTheZeroPatternMatchesNothing(t *testing.T) {
	if (netguard.Pattern{}).Match("https://a.com/") {
		t.Fatal("matched")
	}
}
