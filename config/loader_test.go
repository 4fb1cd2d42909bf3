package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func equal[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// nowhere has no value.
func nowhere(string) (string, bool) { return "", false }

// parseFile reads a file's content without flags, variables and validation.
func parseFile(content []byte) *loader {
	l := newLoader(Sources{Flag: nowhere, Env: nowhere})
	l.addFile("test.toml", content)
	l.fill()
	return l
}

// changed writes a value to field that differs from the one there, and returns how the file writes it.
func changed(t *testing.T, field reflect.Value) string {
	t.Helper()
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		return changed(t, field.Elem())
	}
	if field.Type() == reflect.TypeFor[time.Duration]() {
		field.SetInt(field.Int() + int64(time.Millisecond))
		return fmt.Sprintf("%q", time.Duration(field.Int()))
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(field.String() + "+")
		return fmt.Sprintf("%q", field.String())
	case reflect.Bool:
		field.SetBool(!field.Bool())
		return fmt.Sprint(field.Bool())
	case reflect.Int, reflect.Int64:
		field.SetInt(field.Int() + 1)
		return fmt.Sprint(field.Int())
	case reflect.Slice:
		entry := reflect.New(field.Type().Elem()).Elem()
		written := changed(t, entry)
		field.Set(reflect.Append(field, entry))
		return "[" + written + "]"
	}
	t.Fatalf("no value for a field of type %v", field.Type())
	return ""
}

// changeAll changes every field of a struct and returns the file that does the same.
func changeAll(t *testing.T, file *strings.Builder, section []string, value reflect.Value) {
	t.Helper()
	if len(section) > 0 {
		fmt.Fprintf(file, "[%s]\n", strings.Join(section, "."))
	}
	changeFields(t, file, section, value)
}

// changeFields is changeAll without the line that begins the section.
func changeFields(t *testing.T, file *strings.Builder, section []string, value reflect.Value) {
	t.Helper()
	var below []int
	for i := range value.NumField() {
		kind := value.Field(i).Kind()
		switch {
		case !value.Type().Field(i).IsExported(), noKey(section, value.Type().Field(i).Name):
		case kind == reflect.Struct, kind == reflect.Map, isSections(value.Type().Field(i).Type):
			below = append(below, i)
		default:
			fmt.Fprintf(file, "%s = %s\n", value.Type().Field(i).Name, changed(t, value.Field(i)))
		}
	}
	for _, i := range below {
		path := append(slices.Clone(section), value.Type().Field(i).Name)
		field := value.Field(i)
		if field.Kind() == reflect.Struct {
			changeAll(t, file, path, field)
			continue
		}
		if isSections(field.Type()) {
			fmt.Fprintf(file, "[[%s]]\n", strings.Join(path, "."))
			entry := reflect.New(field.Type().Elem()).Elem()
			changeFields(t, file, path, entry)
			field.Set(reflect.Append(field, entry))
			continue
		}
		entry := reflect.New(field.Type().Elem()).Elem()
		if entry.Kind() == reflect.Struct {
			changeAll(t, file, append(path, "id"), entry)
		} else {
			entry.Set(reflect.ValueOf(map[string]string{"key": "value"}))
			fmt.Fprintf(file, "[%s.id]\nkey = \"value\"\n", strings.Join(path, "."))
		}
		field.Set(reflect.MakeMap(field.Type()))
		field.SetMapIndex(reflect.ValueOf("id"), entry)
	}
}

// isSections tells lists of sections, such as [[Users]].
func isSections(field reflect.Type) bool {
	return field.Kind() == reflect.Slice && field.Elem().Kind() == reflect.Struct
}

// noKey tells the fields that the command sets by itself.
func noKey(section []string, field string) bool { return len(section) == 0 && field == "File" }

func TestEveryFieldCanBeSetInTheFile(t *testing.T) {
	want := Default()
	var file strings.Builder
	changeAll(t, &file, nil, reflect.ValueOf(&want).Elem())
	for name, content := range map[string]string{"as documented": file.String(), "in lower case": lowerKeys(file.String())} {
		t.Run(name, func(t *testing.T) {
			l := parseFile([]byte(content))
			if len(l.faults) > 0 {
				t.Fatalf("%v in\n%s", l.faults, content)
			}
			want.File = l.file
			equal(t, l.config, want)
		})
	}
}

func lowerKeys(file string) string {
	lines := strings.Split(file, "\n")
	for i, line := range lines {
		key, value, isEntry := strings.Cut(line, " = ")
		lines[i] = strings.ToLower(key)
		if isEntry {
			lines[i] += " = " + value
		}
	}
	return strings.Join(lines, "\n")
}

func TestEverySettingChangesAFieldOfItsOwn(t *testing.T) {
	var c Config
	seen := map[any]string{}
	for _, s := range settings(&c) {
		field := fieldOf(s.value)
		if other, twice := seen[field]; twice || field == nil {
			t.Errorf("%s sets the field of %q", s.key(), other)
		}
		seen[field] = s.key()
	}
}

// fieldOf is a pointer to the field of a setting.
func fieldOf(v value) any {
	switch f := v.(type) {
	case field[string]:
		return f.at
	case field[bool]:
		return f.at
	case field[int]:
		return f.at
	case field[int64]:
		return f.at
	case field[time.Duration]:
		return f.at
	case field[[]string]:
		return f.at
	}
	return nil
}

func TestSizesAndDurations(t *testing.T) {
	for value, want := range map[string]any{
		`"100MB"`:                            int64(100_000_000),
		`"1.5 GiB"`:                          int64(1610612736),
		`"7"`:                                int64(7),
		`7`:                                  int64(7),
		`-7`:                                 int64(-7), // refused by Validate
		`"1,5GB"`:                            `"1,5GB" is no size`,
		`"much"`:                             `"much" is no size`,
		`""`:                                 `"" is no size`,
		`"-1MB"`:                             `"-1MB" is no size`,
		`"16EB"`:                             `"16EB" is no size`,
		`"9223372036854775807"`:              int64(9223372036854775807),
		`"9223372036854775808"`:              `"9223372036854775808" is no size`,
		`1.5`:                                "a decimal number is not allowed; it takes a size",
		`true`:                               "a boolean is not allowed",
		`[1]`:                                "a list is not allowed",
		`{ B = 1 }`:                          "a section is not allowed",
		`2020-01-01T00:00:00Z`:               "a date or time is not allowed",
		`2020-01-01T00:00:00`:                "a date or time is not allowed",
		`00:00:00`:                           "a date or time is not allowed",
		`"` + strings.Repeat("x", 500) + `"`: `"` + strings.Repeat("x", 80) + `"… is no size`,
	} {
		l := parseFile([]byte("[Runtime]\nMaxMemory = " + value))
		checkConverted(t, l, value, l.config.Runtime.MaxMemory, want)
	}
	for value, want := range map[string]any{
		`"1m30s"`: 90 * time.Second,
		`"-1s"`:   -time.Second, // refused by Validate
		`"10"`:    `"10" is no duration`,
		`""`:      `"" is no duration`,
		`10`:      `a whole number is not allowed; it takes a duration in quotes, such as "10s"`,
	} {
		l := parseFile([]byte("[Runtime]\nTimeout = " + value))
		checkConverted(t, l, value, l.config.Runtime.Timeout, want)
	}
}

func TestOtherKindsOfValuesAreNotGuessed(t *testing.T) {
	for _, tc := range []struct{ file, want string }{
		{"Name = 5", "Name: a whole number is not allowed; it takes a string in quotes"},
		{"[Plugins]\nEnabled = 1", "[Plugins] Enabled: a whole number is not allowed; it takes true or false"},
		{"[Runtime]\nQueue = \"5\"", "[Runtime] Queue: a string is not allowed; it takes a whole number"},
		{"[Runtime]\nQueue = 5.0", "[Runtime] Queue: a decimal number is not allowed"},
		{"[Runtime]\nQueue = 99999999999", "[Runtime] Queue: 99999999999 is out of range"},
		{"[NATS]\nToken = 12345", "[NATS] Token: a whole number is not allowed"},
		{"[Name]\nx = 1", "Name: a section is not allowed"},
		{"NATS = \"nats://h\"", "NATS: a string is not allowed; this is a section, written as [NATS]"},
		{"[[NATS]]\nURL = \"h\"", "NATS: a list is not allowed; this is a section"},
		{"[Runtime]\nPlugin = 1", "[Runtime] Plugin: a whole number is not allowed; this is a section, written as [Runtime.Plugin]"},
		{"PluginConfig = 1", "PluginConfig: a whole number is not allowed"},
		{"[HTTP]\nTrustedProxies = \"127.0.0.1\"", "[HTTP] TrustedProxies: a string is not allowed; it takes a list of strings, written as [\"one\", \"two\"]"},
		{"[HTTP]\nTrustedProxies = [\"127.0.0.1\", 10.0]", "[HTTP] TrustedProxies: entry 2 is a decimal number; it takes a list of strings"},
		{"[[HTTP.TrustedProxies]]\nIP = \"h\"", "[HTTP] TrustedProxies: entry 1 is a section; it takes a list of strings"},
		{"[Scrobbles]\nPlugin = [\"p\"]", "[Scrobbles] Plugin: a list is not allowed; this is a section, written as [Scrobbles.Plugin]"},
		{"[NATS]\nTLS = true", "[NATS] TLS: a boolean is not allowed; this is a section, written as [NATS.TLS]"},
	} {
		wantLines(t, &LoadError{Faults: parseFile([]byte(tc.file)).faults}, "test.toml: "+tc.want)
	}
}

func checkConverted(t *testing.T, l *loader, written string, got, want any) {
	t.Helper()
	if text, bad := want.(string); bad {
		if len(l.faults) != 1 || !strings.HasPrefix(l.faults[0].Text, text) {
			t.Errorf("%s has the faults %v, want %q", written, l.faults, text)
		}
		return
	}
	if len(l.faults) > 0 || got != want {
		t.Errorf("%s is %v with faults %v, want %v", written, got, l.faults, want)
	}
}

func TestUnknownKeysComeWithASuggestion(t *testing.T) {
	for _, tc := range []struct{ file, want string }{
		{"[NATS]\nStrorage = \"file\"", "[NATS] Strorage: unknown key; did you mean Storage?"},
		{"[Runtime]\nPool = 1", "[Runtime] Pool: unknown key; allowed here: Isolation, PoolSize, InstanceTTL"},
		{"[NATS]\nx = 1", "[NATS] x: unknown key; allowed here: URL, Creds, Replicas, Storage, Listen, Token, [NATS.TLS]"},
		{"[Nat]\nURL = 1", "[Nat]: unknown section; did you mean [NATS]?"},
		{"[Runtim.Plugin.x]", "[Runtim]: unknown section; did you mean [Runtime]?"},
		{"[Runtime.Plugins.x]", "[Runtime.Plugins]: unknown section; did you mean [Runtime.Plugin.<id>]?"},
		{"[PluginsConfig.x]", "[PluginsConfig]: unknown section; did you mean [PluginConfig.<id>]?"},
		{"poolsize = 1", "poolsize: unknown key here; did you mean [Runtime] PoolSize?"},
		{"[Plugins]\nListen = 1", "[Plugins] Listen: unknown key here; did you mean [NATS] Listen or [HTTP] Listen or [ListenBrainz] Listen?"},
		{"[Runtime.Plugin.x]\nqueues = 1", "[Runtime.Plugin.x] queues: unknown key; did you mean Queue?"},
		{"[Runtime.Plugin.x]\nhostmemory = 1", "[Runtime.Plugin.x] hostmemory: HostMemory is for all plugins together"},
		{"[Runtime.Plugin.x]\nz = 1", "[Runtime.Plugin.x] z: unknown key; allowed here: Isolation, PoolSize"},
		{"[Scrobbles.Plugin.x]\nRetrys = [\"a\"]", "[Scrobbles.Plugin.x] Retrys: unknown key; did you mean Retry?"},
		{"[Scrobbles.Plugin.x]\nMaxAge = \"1h\"", "[Scrobbles.Plugin.x] MaxAge: unknown key; allowed here: Retry, Final"},
		{"[Scrobbles.Plugins.x]", "[Scrobbles.Plugins]: unknown section; did you mean [Scrobbles.Plugin.<id>]?"},
		{"[[User]]\nName = \"n\"", "[[User]]: unknown section; did you mean [[Users]]?"},
		{"[HTTP]\nTrustedProxy = [\"127.0.0.1\"]", "[HTTP] TrustedProxy: unknown key; did you mean TrustedProxies?"},
		{"\"a\\nb\" = 1", `"a\nb": unknown key; allowed here: Name`},
		{strings.Repeat("k", 300) + " = 1", `"` + strings.Repeat("k", 120) + `"…: unknown key; allowed here`},
		{"\"\" = 1", `"": unknown key`},
	} {
		wantLines(t, &LoadError{Faults: parseFile([]byte(tc.file)).faults}, "test.toml: "+tc.want)
	}
}

func TestKeysThatDifferOnlyInCaseAreTwins(t *testing.T) {
	for _, tc := range []struct{ file, want string }{
		{"Name = \"a\"\nname = \"b\"", "name: the same as Name"},
		{"[NATS]\n[nats]", "nats: the same as NATS"},
		{"[NATS.TLS]\n[NATS.tls]", "[NATS] tls: the same as TLS"},
		{"[Runtime.Plugin.x]\nQueue = 1\nqueue = 2", "[Runtime.Plugin.x] queue: the same as Queue"},
		{"[Runtime.Plugin.X]\nQueue = 1\n[Runtime.Plugin.x]\nQueue = 2", `[Runtime.Plugin.x]: the same plugin as "X"`},
		{"[Scrobbles.Plugin.x]\nRetry = [\"a\"]\nretry = [\"b\"]", "[Scrobbles.Plugin.x] retry: the same as Retry"},
		{"[[Users]]\nName = \"a\"\n[[users]]\nName = \"b\"", "users: the same as Users"},
		{"[[Users]]\nName = \"a\"\nname = \"b\"", "[[Users]] 1: name: the same as Name"},
	} {
		wantLines(t, &LoadError{Faults: parseFile([]byte(tc.file)).faults}, "test.toml: "+tc.want)
	}
}

func TestSyntaxFaultsNameTheLine(t *testing.T) {
	for name, tc := range map[string]struct{ file, want string }{
		"no value":             {"Name = \"n\"\n\nData =", "line 3, column "},
		"open string":          {"Name = \"n", "line 1, column "},
		"key twice":            {"Name = \"n\"\n[NATS]\nURL = \"\"\"\n\n\"\"\"\nURL = \"b\"\n[HTTP]\n", "line 6, column 1: toml: key URL"},
		"section twice":        {"[NATS]\n[HTTP]\n[NATS]", "line 3, column 2: toml: table NATS"},
		"not UTF-8":            {"Name = \"n\"\n# \xff\n", "line 2: not UTF-8 text"},
		"number out of range":  {"[Runtime]\nQueue = 99999999999999999999\n", "line 2"},
		"float out of range":   {"[Runtime]\nQueue = 1e400\n", "line 2"},
		"date that is no date": {"[Runtime]\nQueue = 2020-13-01\n", "line 2"},
	} {
		t.Run(name, func(t *testing.T) {
			wantLines(t, &LoadError{Faults: parseFile([]byte(tc.file)).faults}, "test.toml: "+tc.want)
		})
	}
}

func TestAByteOrderMarkIsNoFault(t *testing.T) {
	if l := parseFile([]byte("\ufeffName = \"n\"\r\n")); len(l.faults) > 0 || l.config.Name != "n" {
		t.Errorf("name %q, faults %v", l.config.Name, l.faults)
	}
}

func FuzzConfigFile(f *testing.F) {
	for _, seed := range []string{
		everyFault, "", "\ufeff", "Name = \"n\"\r\n", "[PluginConfig.\"my.plugin\"]\nKey = 1.5\n[PluginConfig.my.plugin]\nkey = true",
		"[Runtime.Plugin.\"\"]\nQueue = 1", "[[NATS]]\n[[NATS]]", "a = {a = {a = {}}}", "[PluginConfig]\na.b.c.d = inf\n\"\".\"\" = nan",
		"[PluginConfig." + strings.Repeat("a.", 40) + "a]\nk = 1", "[PluginConfig.\"\\u0000\"]\n\"\\u00ff\" = \"\\U0010ffff\"",
		"[Runtime]\nMaxMemory = \"१MB\"\nTimeout = \"9999999999h\"\nQueue = 0xffffffff", "[nats]\nURL = \"nats://a:b@%\"\nTLS.CA = \"\\u0000\"",
		"[Runtime.Plugin.İ]\nQueue = 1\n[PluginConfig.İ]\nİ = 1\ni = 2\nK = 1\nk = 2", "x = 2020-01-01\ny = 12:00:00\nz = 1979-05-27T07:32:00",
		"[HTTP]\nTrustedProxies = [\"10.0.0.0/8\", \"::1%a\", \"\", 1, []]", "[Scrobbles.Plugin.\"a.b\"]\nRetry = [\"x\"]\nFinal = [\"x\", \"\"]\n[Scrobbles.Plugin.a.b]",
		"[[Users]]\nName = \"joe\"\nID = \"1\"\n[[Users]]\nname = \"JOE\"\nID = \"1\"\nAdmin = 1\nNom = 2\n[[Users]]", "[Users]\nName = \"n\"", "Users = [{Name = \"n\"}, 1]",
		"[[Users]]\n\"a\\nb\" = 1\n[Users.x]\n[[Users.y]]\n[[Users]]\n[NATS]\n[[Users]]", "[[\"\"]]\n[[\"\".a]]\n[[\"\"]]\na = [[{b = [{}]}]]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > maxFile {
			return
		}
		l := parseFile(content)
		l.validate()
		for _, fault := range l.faults {
			if line := fault.Error(); strings.ContainsAny(line, "\n\r\x1b") || len(line) > 10_000 {
				t.Errorf("not one short line: %q", line)
			}
		}
		again := parseFile(content)
		again.validate()
		if !reflect.DeepEqual(l.faults, again.faults) {
			t.Errorf("the faults differ: %v and %v", l.faults, again.faults)
		}
		for id := range l.config.PluginConfig {
			for key := range l.config.PluginConfig[id] {
				if key != strings.ToLower(key) {
					t.Errorf("entry key %q is not lower-case", key)
				}
			}
		}
	})
}
