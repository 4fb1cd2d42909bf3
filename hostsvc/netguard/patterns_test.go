package netguard_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
)

func parse(t *testing.T, allowed map[string][]string) *netguard.Patterns {
	t.Helper()
	patterns, err := netguard.Parse(allowed)
	if err != nil {
		t.Fatal(err)
	}
	return patterns
}

func verdict(err error) string {
	if err == nil {
		return "ok"
	}
	return err.Error()
}

// The rows of the original's HTTP permission tests.
func TestThePermissionsOfAPluginDecide(t *testing.T) {
	byHost := map[string][]string{
		"https://api.example.com":     {"GET", "POST"},
		"https://upload.example.com":  {"PUT", "PATCH"},
		"https://admin.example.com":   {"DELETE"},
		"https://webhook.example.com": {"*"},
	}
	byPath := map[string][]string{
		"https://api.example.com/v1/*":       {"GET"},
		"https://api.example.com/v1/users":   {"POST", "PUT"},
		"https://*.example.com/public/*":     {"GET", "HEAD"},
		"https://admin.*.example.com":        {"*"},
		"https://api.example.com/nothing":    {},
		"https://lower.example.com/anything": {"get"},
	}
	for _, test := range []struct {
		allowed          map[string][]string
		method, url, why string
	}{
		{byHost, "GET", "https://api.example.com/x", "ok"},
		{byHost, "POST", "https://api.example.com", "ok"},
		{byHost, "get", "https://api.example.com/x", "ok"},
		{byHost, "PuT", "https://upload.example.com/x", "ok"},
		{byHost, "PUT", "https://upload.example.com/x", "ok"},
		{byHost, "PATCH", "https://upload.example.com/x", "ok"},
		{byHost, "DELETE", "https://admin.example.com/x", "ok"},
		{byHost, "OPTIONS", "https://webhook.example.com/x", "ok"},
		{byHost, "DELETE", "https://api.example.com/x", "operation DELETE not allowed for URL pattern https://api.example.com"},
		{byHost, "delete", "https://api.example.com/x", "operation DELETE not allowed for URL pattern https://api.example.com"},
		{byHost, "GET", "https://upload.example.com/x", "operation GET not allowed for URL pattern https://upload.example.com"},
		{byHost, "POST", "https://admin.example.com/x", "operation POST not allowed for URL pattern https://admin.example.com"},
		{byHost, "GET", "https://other.com/x", "URL https://other.com/x does not match any allowed URL patterns"},
		{byHost, "GET", "http://api.example.com/x", "URL http://api.example.com/x does not match any allowed URL patterns"},

		{byPath, "GET", "https://api.example.com/v1/things", "ok"},
		{byPath, "POST", "https://api.example.com/v1/things", "operation POST not allowed for URL pattern https://api.example.com/v1/*"},
		{byPath, "POST", "https://api.example.com/v1/users", "ok"},
		{byPath, "PUT", "https://api.example.com/v1/users", "ok"},
		{byPath, "DELETE", "https://api.example.com/v1/users", "operation DELETE not allowed for URL pattern https://api.example.com/v1/users"},
		{byPath, "GET", "https://api.example.com/v1/users", "operation GET not allowed for URL pattern https://api.example.com/v1/users"},
		{byPath, "GET", "https://cdn.example.com/public/a", "ok"},
		{byPath, "HEAD", "https://cdn.example.com/public/a", "ok"},
		{byPath, "POST", "https://cdn.example.com/public/a", "operation POST not allowed for URL pattern https://*.example.com/public/*"},
		{byPath, "DELETE", "https://admin.eu.example.com/a", "ok"},
		{byPath, "POST", "https://admin.eu.example.com/public/a", "ok"},
		{byPath, "GET", "https://api.example.com/nothing", "operation GET not allowed for URL pattern https://api.example.com/nothing"},
		{byPath, "GET", "https://lower.example.com/anything", "ok"},

		{nil, "GET", "https://a.com/", "no allowed URLs configured for plugin"},
		{map[string][]string{"*": {"*"}}, "GET", "https://user:secret@a.com/", "invalid URL: user information in the URL is not allowed: use an Authorization header"},
		{map[string][]string{"*": {"*"}}, "GET", "https://@a.com/", "invalid URL: user information in the URL is not allowed: use an Authorization header"},
		{map[string][]string{"*": {"*"}}, "GET", "://x", `invalid URL: parse "://x": missing protocol scheme`},
		{map[string][]string{"*": {"*"}}, "GET", "ftp://a.com/", `invalid URL: scheme "ftp" is not http, https, ws or wss`},
		{map[string][]string{"*": {"*"}}, "GET", "https:a.com", "invalid URL: no host"},
		{map[string][]string{"*": {"*"}}, "GET", "https:///x", "invalid URL: no host"},
		{map[string][]string{"*": {"*"}}, "GET", "https://a.com/" + strings.Repeat("x", netguard.MaxURLLength), "invalid URL: longer than 8192 bytes"},
		{map[string][]string{"*": {"*"}}, "GET", "https://a.com/" + strings.Repeat("ü", netguard.MaxURLLength/4), "invalid URL: longer than 8192 bytes once it is escaped"},
		{map[string][]string{"*": {"*"}}, "GET", "https://a.com:99999/", `invalid URL: bad port "99999"`},
		{map[string][]string{"*": {"*"}}, "GET", "https://0x7f.1/", `invalid URL: "0x7f.1" ends in a number but is not an IPv4 address: write all four parts in decimal`},
	} {
		_, err := parse(t, test.allowed).Check(test.url, test.method)
		if got := verdict(err); got != test.why {
			t.Errorf("%s %.60s: got %s, want %s", test.method, test.url, got, test.why)
		}
	}
}

func TestTheMostSpecificPatternDecides(t *testing.T) {
	// Each list goes from the most to the least specific pattern that matches.
	for target, order := range map[string][]string{
		"https://a.b.example.com/v1/x": {
			"https://a.b.example.com/v1/x",
			"http*://a.b.example.com/v1/x",
			"//a.b.example.com/v1/x",
			"https://a.b.example.com/v1/*",
			"https://a.b.example.com",
			"*://a.b.example.com",
			"https://a.b.example.com:*/v1/x",
			"https://a.b.example.com:*",
			"https://a.*.example.com/v1/x",
			"https://*.b.example.com", // as many literals as the next: the text decides
			"https://a.*.example.com",
			"https://*.*.example.com",
			"https://*.example.com/v1/*",
			"https://*.example.com",
			"https://*.com",
			"https://*:443",
			"https://*/v1/x",
			"/v1/x",
			"https://*/v1/*",
			"https://*",
			"http*://*",
			"*",
		},
		"http://10.1.2.3:8080/": {
			"http://10.1.2.3:8080/",
			"http://10.1.2.3:8080",
			"http://10.1.2.3:*",
			"http://10.1.*:*",
			"http://10.*:8080",
			"http://*:8080",
			"http://*",
		},
	} {
		for i := range order {
			allowed := map[string][]string{}
			for _, pattern := range order[i:] {
				allowed[pattern] = nil
			}
			_, err := parse(t, allowed).Check(target, "GET")
			if want := "operation GET not allowed for URL pattern " + order[i]; verdict(err) != want {
				t.Errorf("%s: got %v, want %s", target, err, want)
			}
		}
	}
}

func TestEqualPatternsAllowTheMethodsOfBoth(t *testing.T) {
	patterns := parse(t, map[string][]string{
		"https://a.com":        {"GET"},
		"HTTPS://A.com.:443/*": {"POST"},
	})
	for _, method := range []string{"GET", "POST"} {
		if _, err := patterns.Check("https://a.com/x", method); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	_, err := patterns.Check("https://a.com/x", "PUT")
	if want := "operation PUT not allowed for URL pattern HTTPS://A.com.:443/*"; verdict(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The original gave a random verdict here.
func TestOverlappingPatternsGiveOneVerdict(t *testing.T) {
	for range 200 {
		_, err := parse(t, map[string][]string{"https://a.com/*": {"*"}, "*": {"GET"}}).Check("https://a.com/x", "POST")
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheURLSentIsTheOneThatWasChecked(t *testing.T) {
	for _, test := range []struct{ allowed, asked, sent string }{
		{"*", "HTTPS://A.Com.:443?q=A%20b&c=%2e%2e#frag", "https://a.com/?q=A%20b&c=%2e%2e"},
		{"*", "http://a.com:443/", "http://a.com:443/"},
		{"*", "http://a.com:/x", "http://a.com/x"},
		{"*", "http://[0:0::1]:0080/", "http://[::1]/"},
		{"*", "http://[::ffff:1.2.3.4]/", "http://1.2.3.4/"},
		{"*", "http://[fe80::1%25eth0]:81/", "http://[fe80::1%25eth0]:81/"},
		{"*", "https://a.com/x/./y/../z/..", "https://a.com/x/"},
		{"*", "https://a.com/../../x", "https://a.com/x"},
		{"*", "https://a.com/x/%2E%2e/y", "https://a.com/y"},
		{"*", "https://a.com/AC%2fDC/%C3%BC?x", "https://a.com/AC%2fDC/%C3%BC?x"},
		{"*", "https://a.com/a b/ü", "https://a.com/a%20b/%C3%BC"},
		{"*", "https://a.com/search3?query=Nina Simone&x=a+b", "https://a.com/search3?query=Nina%20Simone&x=a+b"},
		{"*", "wss://a.com/?q=ü \xff", "wss://a.com/?q=%C3%BC%20%FF"},
		{"*", `https://a.com/?q="<>\^{|}` + "`", "https://a.com/?q=%22%3C%3E%5C%5E%7B%7C%7D%60"},
		{"*", "https://a.com/?a[]=%zz%&b=!$'()*,;:@/?-._~%20", "https://a.com/?a[]=%zz%&b=!$'()*,;:@/?-._~%20"},
		{"*", "https://a.com/? ", "https://a.com/?%20"},
		// A doubled slash stays where both readings are allowed …
		{"https://a.com", "https://a.com/go/https://b.com", "https://a.com/go/https://b.com"},
		{"https://a.com/go/*", "https://a.com/go//x", "https://a.com/go//x"},
		{"https://a.com/go/*", "https://a.com/go/x%2F%2Fy", "https://a.com/go/x%2F%2Fy"},
		// … and goes where only the single one is.
		{"https://a.com/go/*", "https://a.com//go//x", "https://a.com/go/x"},
		{"https://a.com/go/x", "https://a.com/go//x", "https://a.com/go/x"},
	} {
		sent, err := parse(t, map[string][]string{test.allowed: {"*"}}).Check(test.asked, "GET")
		if err != nil || sent.String() != test.sent {
			t.Errorf("%s: sent %v (%v), want %s", test.asked, sent, err, test.sent)
		}
	}
}

func TestEveryReadingOfAPathMustBeAllowed(t *testing.T) {
	patterns := parse(t, map[string][]string{
		"https://a.com/v1/*":       {"POST"},
		"https://a.com/v1/admin":   {"GET"},
		"https://a.com/v1/admin/*": {"GET"}, // contains /v1/admin, so the row above decides about that
		"https://b.com":            {"POST"},
		"https://b.com/admin":      {"GET"},
	})
	for _, test := range []struct{ url, why string }{
		{"https://a.com/v1/x", "ok"},
		{"https://a.com/v1//x", "ok"},
		{"https://a.com/v1//admin", "operation POST not allowed for URL pattern https://a.com/v1/admin"},
		{"https://a.com/v1/%2Fadmin", "operation POST not allowed for URL pattern https://a.com/v1/admin"},
		{"https://a.com/v1/%5Cadmin", "operation POST not allowed for URL pattern https://a.com/v1/admin"},
		{`https://a.com/v1/\admin`, "operation POST not allowed for URL pattern https://a.com/v1/admin"},
		{"https://a.com/v1/admin%2Fx", "operation POST not allowed for URL pattern https://a.com/v1/admin/*"},
		{"https://a.com/v1/%61dmin", "operation POST not allowed for URL pattern https://a.com/v1/admin"},
		{"https://a.com/v1/x/../admin", "operation POST not allowed for URL pattern https://a.com/v1/admin"},
		{"https://a.com/v1%2Fx", "URL https://a.com/v1%2Fx does not match any allowed URL patterns"},
		{"https://b.com/x", "ok"},
		{"https://b.com//admin", "operation POST not allowed for URL pattern https://b.com/admin"},
		{"https://b.com/x/..%2Fadmin", `invalid URL: the path hides a dot segment in "..%2Fadmin"`},
		{"https://b.com/x/..;a=b/admin", `invalid URL: the path hides a dot segment in "..;a=b"`},
	} {
		_, err := patterns.Check(test.url, "POST")
		if got := verdict(err); got != test.why {
			t.Errorf("%s: got %s, want %s", test.url, got, test.why)
		}
	}
}

func TestEveryBadPatternIsNamed(t *testing.T) {
	_, err := netguard.Parse(map[string][]string{"a.com": nil, "https://ok.com": nil, "ftp://b.com": nil})
	if !errors.Is(err, netguard.ErrPattern) || !strings.Contains(err.Error(), `"a.com"`) || !strings.Contains(err.Error(), `"ftp://b.com"`) {
		t.Fatalf("got %v, want both bad patterns", err)
	}
}

func TestTheNumberOfPatternsAndMethodsIsBounded(t *testing.T) {
	allowed := map[string][]string{}
	for i := range netguard.MaxPatterns {
		allowed[fmt.Sprintf("https://a%d.com", i)] = []string{"GET"}
	}
	parse(t, allowed)
	allowed["https://one-more.com"] = []string{"GET"}
	if _, err := netguard.Parse(allowed); !errors.Is(err, netguard.ErrPattern) {
		t.Errorf("too many patterns: got %v, want ErrPattern", err)
	}
	if _, err := netguard.Parse(map[string][]string{"*": make([]string, netguard.MaxMethods+1)}); !errors.Is(err, netguard.ErrPattern) {
		t.Errorf("too many methods: got %v, want ErrPattern", err)
	}
}

// The rows of the original's WebSocket permission tests.
func TestAListOfPatternsAllowsEveryMethod(t *testing.T) {
	patterns, err := netguard.ParseList([]string{"wss://api.example.com/*", "ws://localhost:8080"})
	if err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"wss://api.example.com/ws": "ok",
		"ws://localhost:8080/any":  "ok",
		"wss://other.com/":         "URL wss://other.com/ does not match any allowed URL patterns",
		"https://api.example.com/": "URL https://api.example.com/ does not match any allowed URL patterns",
	} {
		if _, err := patterns.Check(url, "GET"); verdict(err) != want {
			t.Errorf("%s: got %v, want %s", url, err, want)
		}
	}
}

func TestTheKindOfARefusalIsKnown(t *testing.T) {
	patterns := parse(t, map[string][]string{"https://a.com": {"GET"}})
	for url, kind := range map[string]error{
		"https://b.com/":   netguard.ErrNotAllowed,
		"https://u@a.com/": netguard.ErrURL,
	} {
		_, err := patterns.Check(url, "GET")
		var blocked *netguard.BlockedError
		if !errors.As(err, &blocked) || !errors.Is(err, kind) {
			t.Errorf("%s: got %v, want a BlockedError of kind %v", url, err, kind)
		}
	}
}
