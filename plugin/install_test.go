package plugin_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/plugin"
)

// packed is a package with a file that names its version.
func packed(t *testing.T, version string) *plugin.Package {
	t.Helper()
	p, err := plugin.ParsePackage(t.Context(), zipped(t, entry{name: "docs/version", content: version}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantOnly fails unless the folder has the plugin of this version, and nothing else.
func wantOnly(t *testing.T, folder, id, version string) {
	t.Helper()
	names, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if name.Name() != ".lock" && name.Name() != id {
			t.Errorf("%s is there", name.Name())
		}
	}
	if content, err := os.ReadFile(filepath.Join(folder, id, "docs", "version")); err != nil || string(content) != version {
		t.Errorf("version %q is there, want %q: %v", content, version, err)
	}
	if entry := plugin.Load(folder, id); entry.Err != nil {
		t.Error(entry.Err)
	}
}

func TestInstallAndUpdate(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data", "plugins")
	told := int64(0)
	p := packed(t, "1")
	if err := plugin.Install(t.Context(), folder, "covers", p, func(done, total int64) {
		if done <= told || total != p.Unpacked {
			t.Errorf("%d after %d of %d", done, told, total)
		}
		told = done
	}); err != nil {
		t.Fatal(err)
	}
	if told != p.Unpacked {
		t.Errorf("%d of %d bytes were told", told, p.Unpacked)
	}
	wantOnly(t, folder, "covers", "1")
	for path, want := range map[string]fs.FileMode{"": 0o700, "covers": 0o700, "covers/docs": 0o700, "covers/plugin.wasm": 0o600, "covers/docs/version": 0o600} {
		if info, err := os.Stat(filepath.Join(folder, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	for _, id := range []string{"covers", "Covers"} {
		if err := plugin.Install(t.Context(), folder, id, packed(t, "2"), nil); !errors.Is(err, plugin.ErrInstalled) {
			t.Errorf("%s a second time: %v", id, err)
		}
	}
	wantOnly(t, folder, "covers", "1")
	if err := plugin.Update(t.Context(), folder, "covers", packed(t, "2"), nil); err != nil {
		t.Fatal(err)
	}
	wantOnly(t, folder, "covers", "2")
	if err := plugin.Update(t.Context(), folder, "other", packed(t, "2"), nil); !errors.Is(err, plugin.ErrNotFound) {
		t.Errorf("an update of nothing: %v", err)
	}
	wantOnly(t, folder, "covers", "2")
}

func TestInstallRefusesIDs(t *testing.T) {
	root := t.TempDir()
	for _, id := range []string{"", ".", "..", "../x", "a/b", `a\b`, "a\x00", ".hidden", "a\x1b[2J", "a\u200b", "a\u202eb", " a", strings.Repeat("a", 101)} {
		if err := plugin.Install(t.Context(), filepath.Join(root, "plugins"), id, packed(t, "1"), nil); !errors.Is(err, plugin.ErrBadID) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 0 {
		t.Errorf("something was written: %v, %v", entries, err)
	}
	if err := plugin.Install(t.Context(), root, strings.Repeat("a", 100), packed(t, "1"), nil); err != nil {
		t.Error(err)
	}
}

func TestUpdateOfASymlinkIsRefused(t *testing.T) {
	folder, source := t.TempDir(), t.TempDir()
	if err := os.Symlink(source, filepath.Join(folder, "covers")); err != nil {
		t.Fatal(err)
	}
	if err := plugin.Update(t.Context(), folder, "covers", packed(t, "1"), nil); !errors.Is(err, plugin.ErrSymlink) {
		t.Errorf("got %v", err)
	}
}

func TestInterruptedInstallLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	err := plugin.Install(ctx, folder, "covers", packed(t, "1"), func(int64, int64) { cancel(errTired) })
	if !errors.Is(err, errTired) {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 || entries[0].Name() != ".lock" {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestInstallWaitsForAnother(t *testing.T) {
	folder := t.TempDir()
	if plugin.IsBusy(folder) {
		t.Error("nobody has begun")
	}
	begun, goOn := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		once := false
		first <- plugin.Install(t.Context(), folder, "first", packed(t, "1"), func(int64, int64) {
			if !once {
				once = true
				close(begun)
				<-goOn
			}
		})
	}()
	<-begun
	if !plugin.IsBusy(folder) {
		t.Error("another command would wait without a word")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errTired)
	if err := plugin.Install(ctx, folder, "second", packed(t, "1"), nil); !errors.Is(err, errTired) || !strings.Contains(err.Error(), "another process changes the plugins folder") {
		t.Errorf("got %v", err)
	}
	if err := plugin.Recover(folder); err != nil { // which leaves it alone
		t.Error(err)
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if plugin.IsBusy(folder) {
		t.Error("all is done")
	}
	wantOnly(t, folder, "first", "1")
}

// Where two folders cannot be exchanged at once, whoever comes next finishes what a killed
// process began.
func TestExchangeInSteps(t *testing.T) {
	for _, killed := range []bool{false, true} {
		folder := t.TempDir()
		if err := plugin.Install(t.Context(), folder, "covers", packed(t, "1"), nil); err != nil {
			t.Fatal(err)
		}
		staging := filepath.Join(folder, ".staging-1")
		if err := plugin.Install(t.Context(), staging, "covers", packed(t, "2"), nil); err != nil {
			t.Fatal(err)
		}
		if err := plugin.ExchangeInSteps(folder, staging, filepath.Join(staging, "covers"), "covers", killed); err != nil {
			t.Error(err)
		}
		if killed {
			if _, err := os.Stat(filepath.Join(folder, "covers")); err == nil {
				t.Fatal("the plugin is there already")
			}
		}
		if err := plugin.Recover(folder); err != nil {
			t.Fatal(err)
		}
		wantOnly(t, folder, "covers", map[bool]string{false: "2", true: "1"}[killed])
	}
}

func TestRecoverDeletesWhatIsOfNoUse(t *testing.T) {
	folder := t.TempDir()
	// The plugin first: where it is missing, what an exchange has left is put back.
	for _, of := range []struct{ path, version string }{{"", "2"}, {".staging-new", "1"}, {".staging-done/former", "1"}} {
		if err := plugin.Install(t.Context(), filepath.Join(folder, of.path), "covers", packed(t, of.version), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, ".staging-file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := plugin.Recover(folder); err != nil {
		t.Fatal(err)
	}
	wantOnly(t, folder, "covers", "2")
}

func TestRecoverWithoutAFolder(t *testing.T) {
	if err := plugin.Recover(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Error(err)
	}
}

func TestLink(t *testing.T) {
	folder, source, other := filepath.Join(t.TempDir(), "plugins"), t.TempDir(), t.TempDir()
	if err := plugin.Link(t.Context(), folder, "covers", source, false); err == nil || !strings.Contains(err.Error(), "source folder missing manifest.json") {
		t.Errorf("without a manifest: %v", err)
	}
	for _, dir := range []string{source, other} {
		if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(goodManifest), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	target := func() string {
		target, err := os.Readlink(filepath.Join(folder, "covers"))
		if err != nil {
			t.Error(err)
		}
		return target
	}
	if err := plugin.Link(t.Context(), folder, "covers", source, false); err != nil || target() != source {
		t.Errorf("got %v", err)
	}
	if err := plugin.Link(t.Context(), folder, "covers", source, true); !errors.Is(err, plugin.ErrLinked) {
		t.Errorf("the same once more: %v", err)
	}
	if err := plugin.Link(t.Context(), folder, "covers", other, false); !errors.Is(err, plugin.ErrInstalled) || target() != source {
		t.Errorf("another: %v", err)
	}
	if err := plugin.Link(t.Context(), folder, "covers", other, true); err != nil || target() != other {
		t.Errorf("another in its place: %v", err)
	}
	if err := plugin.Install(t.Context(), folder, "real", packed(t, "1"), nil); err != nil {
		t.Fatal(err)
	}
	if err := plugin.Link(t.Context(), folder, "real", source, true); err != nil {
		t.Error(err)
	}
	if entry := plugin.Load(folder, "real"); !entry.Symlink {
		t.Errorf("got %+v", entry)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 3 {
		t.Errorf("left: %v, %v", entries, err)
	}
	if _, err := os.Stat(filepath.Join(source, "manifest.json")); err != nil {
		t.Error(err)
	}
	// What is in the plugins folder is not replaced by a link to itself.
	parent := filepath.Dir(source)
	for place, from := range map[string]string{filepath.Base(source): source, filepath.Base(parent): source} {
		dir := filepath.Dir(source)
		if place == filepath.Base(parent) {
			dir = filepath.Dir(parent)
		}
		if err := plugin.Link(t.Context(), dir, place, from, true); err == nil {
			t.Errorf("%s is linked to what is in it", place)
		}
		if _, err := os.Stat(filepath.Join(source, "manifest.json")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPackIsReproducible(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("manifest.json", goodManifest)
	var out strings.Builder
	if _, err := plugin.Pack(t.Context(), folder, &out); err == nil || !strings.Contains(err.Error(), "plugin.wasm") || out.Len() > 0 {
		t.Errorf("without a module: %v", err)
	}
	write("plugin.wasm", someWasm)
	write("README.md", "what")
	write("LICENSE", "free")
	write("main.go", "package main")
	write(".secret.md", "no")
	first, err := plugin.Pack(t.Context(), folder, &out)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(len(goodManifest) + len(someWasm) + len("what") + len("free")); first.Unpacked != want {
		t.Errorf("%d bytes are packed, want %d", first.Unpacked, want)
	}
	for _, name := range []string{"manifest.json", "plugin.wasm", "README.md", "LICENSE"} {
		if err := os.Chtimes(filepath.Join(folder, name), first.Modified, first.Modified); err != nil {
			t.Fatal(err)
		}
	}
	var again strings.Builder
	if _, err := plugin.Pack(t.Context(), folder, &again); err != nil || again.String() != out.String() {
		t.Errorf("packed again it is another one: %v", err)
	}
}

func TestPermissionsBeyond(t *testing.T) {
	parse := func(permissions string) plugin.Permissions {
		t.Helper()
		m, _, err := plugin.ParseManifest([]byte(strings.Replace(goodManifest, `"permissions": {}`, `"permissions": `+permissions, 1)))
		if err != nil {
			t.Fatal(err)
		}
		return m.Permissions
	}
	for _, c := range []struct{ before, now, want string }{
		{`{}`, `{}`, ""},
		{`{"cache": {"reason": "r"}}`, `{}`, ""},
		{`{}`, `{"cache": {"reason": "to be fast"}}`, "cache: to be fast"},
		{
			`{"http": {"reason": "r", "allowedUrls": {"https://a": ["GET"], "https://b": ["*"]}}}`,
			`{"http": {"reason": "r", "allowedUrls": {"https://a": ["GET", "POST"], "https://b": ["GET"], "https://c": ["GET"]}, "allowLocalNetwork": true}}`,
			"http: POST https://a\nhttp: GET https://c\nhttp: the local network",
		},
		{
			`{"websocket": {"reason": "r", "allowedUrls": ["wss://a"]}}`,
			`{"websocket": {"reason": "r", "allowedUrls": ["wss://a", "wss://b"], "allowLocalNetwork": true}}`,
			"websocket: wss://b\nwebsocket: the local network",
		},
		{
			`{"subsonicapi": {"reason": "r", "allowedUsernames": ["joe"]}}`,
			`{"subsonicapi": {"reason": "r", "allowedUsernames": ["joe", "ann"], "allowAdmins": true}}`,
			"subsonicapi: user ann\nsubsonicapi: administrators",
		},
		{`{"subsonicapi": {"reason": "r", "allowedUsernames": ["joe"]}}`, `{"subsonicapi": {"reason": "r"}}`, "subsonicapi: all users"},
		{
			`{"subsonicapi": {"reason": "r", "allowedUsernames": ["*"]}}`, `{"subsonicapi": {"reason": "r", "allowedUsernames": ["*", "admin"]}}`,
			"subsonicapi: user admin",
		},
		{
			`{"http": {"reason": "r", "allowedUrls": {"https://a/x": ["GET"], "https://a/*": ["*"]}}}`,
			`{"http": {"reason": "r", "allowedUrls": {"https://a/*": ["*"]}}}`,
			"http: https://a/x, which had a rule of its own, as the wider patterns allow",
		},
		{`{"subsonicapi": {"reason": "r"}}`, `{"subsonicapi": {"reason": "r", "allowedUsernames": ["joe"]}}`, ""},
	} {
		if got := strings.Join(parse(c.now).Beyond(parse(c.before)), "\n"); got != c.want {
			t.Errorf("%s after %s: got %q, want %q", c.now, c.before, got, c.want)
		}
	}
}
