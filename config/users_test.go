package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestUsersAreReadInOrder(t *testing.T) {
	want := []User{{Name: "joe", ID: "1", DisplayName: "Joe", Admin: true}, {Name: "Ann B", ID: "two"}}
	for name, file := range map[string]string{
		"as sections":            "[[Users]]\nName = \"joe\"\nID = \"1\"\nDisplayName = \"Joe\"\nAdmin = true\n[[Users]]\nName = \"Ann B\"\nID = \"two\"",
		"in any case":            "[[USERS]]\nNAME = \"joe\"\nid = \"1\"\ndisplayname = \"Joe\"\nADMIN = true\n[[USERS]]\nname = \"Ann B\"\nId = \"two\"",
		"as a list":              "Users = [{Name = \"joe\", ID = \"1\", DisplayName = \"Joe\", Admin = true}, {Name = \"Ann B\", ID = \"two\"}]",
		"around another section": "[[Users]]\nName = \"joe\"\nID = \"1\"\nDisplayName = \"Joe\"\nAdmin = true\n[NATS]\nURL = \"\"\n[[Users]]\nName = \"Ann B\"\nID = \"two\"",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := configCase{file: file}.serve(t)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, got.Users, want)
		})
	}
}

func TestFaultsOfUsersNameTheirPlace(t *testing.T) {
	const joe = "[[Users]]\nName = \"joe\"\nID = \"1\"\n"
	for name, tc := range map[string]struct {
		file string
		want []string
	}{
		"a section":          {"[Users]\nName = \"joe\"", []string{"Users: a section is not allowed; each user is a section of a list, written as [[Users]]"}},
		"one for each name":  {"[Users.joe]\nID = \"1\"", []string{"Users: a section is not allowed"}},
		"a text":             {"Users = \"joe\"", []string{"Users: a string is not allowed; each user is a section of a list, written as [[Users]]"}},
		"texts":              {"Users = [\"joe\"]", []string{"Users: entry 1 is a string; each user is a section of a list, written as [[Users]]"}},
		"a mistyped key":     {joe + "[[Users]]\nName = \"ann\"\nID = \"2\"\n[[Users]]\nNam = \"eve\"\nName = \"eve\"\nID = \"3\"", []string{"[[Users]] 3: Nam: unknown key; did you mean Name?"}},
		"an unknown key":     {joe + "Password = \"x\"", []string{"[[Users]] 1: Password: unknown key; allowed here: Name, ID, DisplayName, Admin"}},
		"a key of two lines": {joe + "\"a\\nb\" = 1", []string{`[[Users]] 1: "a\nb": unknown key`}},
		"a section in one":   {joe + "[Users.Admin]", []string{"[[Users]] 1: Admin: a section is not allowed; it takes true or false"}},
		"a number":           {joe + "[[Users]]\nName = \"ann\"\nid = 2", []string{"[[Users]] 2: ID: a whole number is not allowed; it takes a string in quotes"}},
		"no name":            {joe + "[[Users]]\nID = \"2\"", []string{"[[Users]] 2: Name: it is missing"}},
		"nothing at all":     {joe + "[[Users]]", []string{"[[Users]] 2: Name: it is missing", "[[Users]] 2: ID: it is missing"}},
		"two without a name": {"[[Users]]\nID = \"1\"\n[[Users]]\nID = \"2\"", []string{"[[Users]] 1: Name: it is missing", "[[Users]] 2: Name: it is missing"}},
		"two without an ID":  {"[[Users]]\nName = \"a\"\n[[Users]]\nName = \"b\"", []string{"[[Users]] 1: ID: it is missing", "[[Users]] 2: ID: it is missing"}},
		"twins":              {joe + "[[Users]]\nName = \"Joe\"\nID = \"1\"", []string{`[[Users]] 2: Name: "Joe" is the same user as "joe" of [[Users]] 1`, `[[Users]] 2: ID: "1" is the ID of "joe" of [[Users]] 1`}},
		"several, all at once": {"[[Users]]\nAdmin = 1\nName = 1\n[[Users]]\nID = \"\\t\"", []string{
			"[[Users]] 1: Admin: a whole number", "[[Users]] 1: Name: a whole number", "[[Users]] 1: ID: it is missing", "[[Users]] 2: Name: it is missing", `[[Users]] 2: ID: "\t" is not allowed`,
		}},
		"too many": {strings.Repeat("[[Users]]\n", maxUsers+1), []string{"[[Users]]: 10001 users are too many; it takes up to 10000"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := configCase{file: tc.file}.serve(t)
			for i := range tc.want {
				tc.want[i] = "pluginhost.toml: " + tc.want[i]
			}
			wantLines(t, err, tc.want...)
		})
	}
}

func TestFaultsOfManyUsersAreBounded(t *testing.T) {
	for name, user := range map[string]string{
		"of their keys":   "[[Users]]\nLogin = \"a\"\nName = \"u%d\"\nID = \"%[1]d\"\n",
		"of their values": "[[Users]]\nName = \"u%d\"\nID = \"\\t%[1]d\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			var file strings.Builder
			for i := range 5000 {
				fmt.Fprintf(&file, user, i)
			}
			_, err := configCase{file: file.String()}.serve(t)
			lines := linesOf(t, err)
			const last = "pluginhost.toml: [[Users]]: more may be wrong: these are the first 100 faults of users"
			if len(lines) != maxUserFaults+1 || lines[maxUserFaults] != last {
				t.Errorf("%d faults, want %d and then %q:\n%.1000q", len(lines), maxUserFaults, last, lines)
			}
		})
	}
}

func TestTooManyUsersAreNotRead(t *testing.T) {
	if l := parseFile([]byte(strings.Repeat("[[Users]]\n", maxUsers+1))); len(l.faults) != 1 || len(l.config.Users) > 0 {
		t.Errorf("%d users and the faults %v", len(l.config.Users), l.faults)
	}
}

// Ten thousand users are what a file has room for, with long texts.
func TestAFileHasRoomForTheMostUsers(t *testing.T) {
	var file strings.Builder
	file.WriteString("[PluginConfig.p]\n")
	for i := range 200 {
		fmt.Fprintf(&file, "key%d = 1\n", i)
	}
	for i := range maxUsers {
		fmt.Fprintf(&file, "[[Users]]\nName = \"someone.with.a.long.name.%d@example.test\"\nID = \"0190a5c8-7b7e-7c1d-9f3e-%012d\"\nDisplayName = \"Someone With A Long Name The %[1]dth\"\nAdmin = false\n", i, i)
	}
	got, err := configCase{file: file.String()}.serve(t)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Users) != maxUsers {
		t.Errorf("%d users, want %d", len(got.Users), maxUsers)
	}
}
