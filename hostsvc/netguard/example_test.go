package netguard_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
)

func ExamplePatterns_Check() {
	patterns, err := netguard.Parse(map[string][]string{
		"https://*.example.com":            {"GET"},
		"https://api.example.com/v1/*":     {"GET", "POST"},
		"https://api.example.com/v1/users": {"GET"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, request := range [][2]string{
		{"GET", "https://covers.eu.example.com/1.jpg"},
		{"POST", "https://API.example.com/v1/./albums?limit=5"},
		{"POST", "https://api.example.com/v1/users"},
		{"GET", "https://api.example.com:8443/v1/users"},
	} {
		u, err := patterns.Check(request[1], request[0])
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("send", u)
	}
	// Output:
	// send https://covers.eu.example.com/1.jpg
	// send https://api.example.com/v1/albums?limit=5
	// operation POST not allowed for URL pattern https://api.example.com/v1/users
	// URL https://api.example.com:8443/v1/users does not match any allowed URL patterns
}

func ExampleGuard_DialContext() {
	guard, err := netguard.NewGuard(netguard.GuardConfig{
		Denied: []netguard.Endpoint{{Name: "Navidrome", Host: "music.example.com", Port: 443}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// As in http.Transport{DialContext: guard.DialContext}.
	_, err = guard.DialContext(context.Background(), "tcp", "127.0.0.1:8080")
	var blocked *netguard.BlockedError
	if errors.As(err, &blocked) {
		fmt.Println(blocked.Reason)
	}
	// Output: requests to localhost are not allowed
}
