package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// needs is how the document writes what a change of a setting needs.
func (c change) needs() string {
	switch c {
	case atOnce:
		return "nothing"
	case restart:
		return "a restart"
	case anew:
		return "all plugins anew"
	}
	var permissions []string
	for _, one := range []struct {
		change     change
		permission string
	}{
		{anewCache, "`cache`"}, {anewScheduler, "`scheduler`"}, {anewHTTP, "`http`"}, {anewWebSocket, "`websocket`"}, {anewSubsonicAPI, "`subsonicapi`"},
	} {
		if c&one.change != 0 {
			permissions = append(permissions, one.permission)
		}
	}
	return strings.Join(permissions, ", ") + " anew"
}

// documented are the rows of the tables in "4. Settings" of docs/operations.md, by the key that they are about.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	content, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(content), "\n## 4. Settings\n")
	section, _, _ = strings.Cut(section, "\n### Changing settings\n")
	rows := map[string][]string{}
	inFirst := regexp.MustCompile("^`(.*)`( [³⁴])?$")
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) != 5 {
			continue
		}
		key := cells[0]
		if strings.HasPrefix(key, "`--") {
			key = cells[2]
		}
		written := inFirst.FindStringSubmatch(key)
		if written == nil {
			continue
		}
		if rows[written[1]] != nil {
			t.Errorf("%s has two rows", written[1])
		}
		rows[written[1]] = cells
	}
	return rows
}

// A setting that is not in the document gets the row that it lacks from here.
func TestTheDocumentHasTheTableOfSettings(t *testing.T) {
	rows := documented(t)
	delete(rows, "[PluginConfig.<id>]")
	const listOfUsers = "[" + usersSection + "]"
	all := settings(new(Config))
	for _, s := range slices.Concat(wordSettings("<id>", new(ScrobbleWords)), userSettings(new(User))) {
		if len(s.path) == 1 {
			s.path = []string{listOfUsers, s.path[0]}
		}
		all = append(all, s)
	}
	for _, s := range all {
		key, shown := strings.ReplaceAll(s.key(), `"`, ""), "–"
		if s.shown() != "" {
			shown = "`" + s.shown() + "`"
		}
		row := rows[key]
		delete(rows, key)
		if s.flag != "" {
			checkFlagged(t, s, row)
			continue
		}
		first := "`" + key + "`"
		switch {
		case s.isForPlugins():
			first += " ³"
		case s.path[0] == listOfUsers:
			first += " ⁴"
		}
		limits := s.limits()
		if strings.HasPrefix(limits, `"`) {
			limits = "`" + strings.ReplaceAll(limits, ", ", "`, `") + "`"
		}
		if row == nil || row[0] != first || row[1] != shown || !strings.HasPrefix(row[2], limits) || row[3] != s.change.needs() {
			t.Errorf("the row is\n%s, it should begin like\n| %s |", strings.Join(row, " | "), strings.Join([]string{first, shown, limits, s.change.needs()}, " | "))
		}
	}
	for key := range rows {
		t.Errorf("%s is no setting", key)
	}
}

// checkFlagged compares a setting with its row in the table of flags.
func checkFlagged(t *testing.T, s setting, row []string) {
	t.Helper()
	if _, isText := s.value.(field[string]); !isText || s.change != restart {
		t.Errorf("%s has a flag: it should be a text that needs a restart", s.key())
	}
	want := []string{"`--" + s.flag + "`", "`" + s.variable() + "`", "`" + s.key() + "`", "`" + strings.Trim(s.shown(), `"`) + "`"}
	if s.shown() == "" && len(row) > 3 {
		want[3] = row[3] // what it is without one depends on the machine and the command
	}
	if len(row) < 4 || strings.TrimSuffix(row[0], " ¹") != want[0] || !slices.Equal(row[1:4], want[1:]) {
		t.Errorf("the row is %q, want %q", row, want)
	}
}
