package plugin_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/plugin"
)

const goodManifest = `{"name": "covers", "author": "a", "version": "1.0.0", "description": "d", "website": "https://example.com",
	"capabilities": ["MetadataAgent"], "permissions": {}}`

// someWasm is no plugin, but begins like a module.
const someWasm = "\x00asm\x01\x00\x00\x00"

// entry is one of a zip, as hostile as it likes.
type entry struct {
	name    string
	content string
	mode    fs.FileMode
	stored  bool
	flags   uint16
	claims  uint64 // how long it says that it is; 0 is the truth
}

// zipped makes a zip of a plugin's two files and of what is added.
func zipped(t testing.TB, added ...entry) []byte {
	t.Helper()
	return zipOf(t, append([]entry{{name: "manifest.json", content: goodManifest}, {name: "plugin.wasm", content: someWasm}}, added...)...)
}

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	w.RegisterCompressor(zip.Deflate, func(to io.Writer) (io.WriteCloser, error) { return flate.NewWriter(to, flate.BestSpeed) })
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Flags: e.flags}
		if e.stored {
			header.Method = zip.Store
		}
		if e.mode != 0 {
			header.SetMode(e.mode)
		}
		create, content := w.CreateHeader, []byte(e.content)
		if e.claims != 0 {
			create, content = w.CreateRaw, deflated(t, content)
			header.CRC32 = crc32.ChecksumIEEE([]byte(e.content))
			header.CompressedSize64, header.UncompressedSize64 = uint64(len(content)), e.claims
		}
		file, err := create(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func deflated(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err == nil {
		_, err = w.Write(content)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestParsePackage(t *testing.T) {
	content := zipped(t, entry{name: "docs/", mode: fs.ModeDir | 0o755}, entry{name: "docs/guide.md", content: "how"}, entry{name: "README.md", content: "what"})
	p, err := plugin.ParsePackage(t.Context(), content)
	if err != nil {
		t.Fatal(err)
	}
	unpacked := int64(len(goodManifest) + len(someWasm) + len("how") + len("what"))
	if p.Manifest.Name != "covers" || string(p.Wasm) != someWasm || p.Size != int64(len(content)) || p.Unpacked != unpacked || len(p.Digest) != 64 {
		t.Errorf("got %+v", p)
	}
}

func TestPackagesAreRefused(t *testing.T) {
	damaged := zipped(t, entry{name: "long.txt", content: strings.Repeat("something ", 1000)})
	damaged[bytes.Index(damaged, []byte("long.txt"))+len("long.txt")+20] ^= 0xff
	for name, c := range map[string]struct {
		content []byte
		says    string
	}{
		"nothing":                     {nil, "no zip file"},
		"no zip":                      {[]byte("hello"), "no zip file"},
		"cut short":                   {zipped(t)[:200], "no zip file"},
		"damaged content":             {damaged, `"long.txt" cannot be unpacked`},
		"a file longer than it says":  {zipped(t, entry{name: "a", content: strings.Repeat("0", 1000), claims: 10}), `"a" cannot be unpacked`},
		"a file shorter than it says": {zipped(t, entry{name: "a", content: "0", claims: 1000}), `"a" cannot be unpacked`},
		"a parent":                    {zipped(t, entry{name: "../evil", content: "x"}), `illegal file path in plugin package: "../evil"`},
		"a parent in the middle":      {zipped(t, entry{name: "a/../../evil", content: "x"}), "illegal file path"},
		"an absolute path":            {zipped(t, entry{name: "/etc/passwd", content: "x"}), "illegal file path"},
		"a path of Windows":           {zipped(t, entry{name: `..\evil`, content: "x"}), "a backslash or a colon"},
		"a drive":                     {zipped(t, entry{name: "C:evil", content: "x"}), "a backslash or a colon"},
		"a dot":                       {zipped(t, entry{name: ".", content: "x"}), "illegal file path"},
		"no name":                     {zipped(t, entry{name: "", content: "x"}), "illegal file path"},
		"an empty element":            {zipped(t, entry{name: "a//b", content: "x"}), "illegal file path"},
		"a zero byte":                 {zipped(t, entry{name: "a\x00b", content: "x"}), "a control character"},
		"an escape sequence":          {zipped(t, entry{name: "a\x1b[2J", content: "x"}), "a control character"},
		"no UTF-8":                    {zipped(t, entry{name: "a\xff", content: "x"}), "not UTF-8"},
		"a long element":              {zipped(t, entry{name: strings.Repeat("a", 256), content: "x"}), "more than 255 bytes"},
		"a long path":                 {zipped(t, entry{name: strings.Repeat("a/", 512) + "b", content: "x"}), "more than 1024 bytes"},
		"a symbolic link":             {zipped(t, entry{name: "link", content: "/etc/passwd", mode: fs.ModeSymlink | 0o777}), "a symbolic link"},
		"a wasm that is a link":       {zipOf(t, entry{name: "manifest.json", content: goodManifest}, entry{name: "plugin.wasm", content: "/bin/sh", mode: fs.ModeSymlink | 0o777}), "a symbolic link"},
		"a device":                    {zipped(t, entry{name: "dev", mode: fs.ModeDevice | 0o600}), "not a plain file"},
		"a named pipe":                {zipped(t, entry{name: "pipe", mode: fs.ModeNamedPipe | 0o600}), "not a plain file"},
		"a folder without a slash":    {zipped(t, entry{name: "folder", mode: fs.ModeDir | 0o700}), "not a plain file: a folder"},
		"a file twice":                {zipped(t, entry{name: "a", content: "1"}, entry{name: "a", content: "2"}), `it has "a" twice`},
		"the wasm twice":              {zipped(t, entry{name: "plugin.wasm", content: someWasm}), "twice"},
		"names but for case":          {zipped(t, entry{name: "a.md", content: "1"}, entry{name: "A.md", content: "2"}), "differ in nothing but case"},
		"folders but for case":        {zipped(t, entry{name: "docs/a", content: "1"}, entry{name: "Docs/b", content: "2"}), "differ in nothing but case"},
		"a file that is a folder":     {zipped(t, entry{name: "a", content: "1"}, entry{name: "a/b", content: "2"}), "both a file and a folder"},
		"a folder that is a file":     {zipped(t, entry{name: "a/b", content: "2"}, entry{name: "a", content: "1"}), "both a file and a folder"},
		"an encrypted file":           {zipped(t, entry{name: "secret", content: "1", flags: 1}), "encrypted"},
		"no manifest":                 {zipOf(t, entry{name: "plugin.wasm", content: someWasm}), "missing required manifest.json"},
		"no wasm":                     {zipOf(t, entry{name: "manifest.json", content: goodManifest}), "missing required plugin.wasm"},
		"a wasm in capitals":          {zipOf(t, entry{name: "manifest.json", content: goodManifest}, entry{name: "Plugin.WASM", content: someWasm}), "must be named plugin.wasm"},
		"everything in a folder":      {zipOf(t, entry{name: "covers/manifest.json", content: goodManifest}, entry{name: "covers/plugin.wasm", content: someWasm}), "pack the files and not their folder"},
		"a wasm that is none":         {zipOf(t, entry{name: "manifest.json", content: goodManifest}, entry{name: "plugin.wasm", content: "#!/bin/sh"}), "no WebAssembly module"},
		"a manifest that is none":     {zipOf(t, entry{name: "manifest.json", content: "{"}, entry{name: "plugin.wasm", content: someWasm}), "ends too early"},
		"a manifest without a name":   {zipOf(t, entry{name: "manifest.json", content: strings.Replace(goodManifest, "name", "nam", 1)}, entry{name: "plugin.wasm", content: someWasm}), "name: is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := plugin.ParsePackage(t.Context(), c.content)
			if !errors.Is(err, plugin.ErrBadPackage) || !strings.Contains(fmt.Sprint(err), c.says) || p != nil {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

// incompressible is so many bytes of which one in a few is random.
func incompressible(n int) string {
	content := make([]byte, n)
	random := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < n; i += 64 {
		content[i] = byte(random.Uint32())
	}
	return string(content)
}

func TestLimitsOfPackages(t *testing.T) {
	many := func(n int) []entry {
		entries := make([]entry, n-2)
		for i := range entries {
			entries[i] = entry{name: fmt.Sprint("file", i), stored: true}
		}
		return entries
	}
	// dense is a file that becomes as many times longer as is allowed, and dense1 one byte more.
	dense := ""
	for _, step := range []int{256, 16, 1} {
		for {
			content := dense + strings.Repeat("0", step)
			if _, err := plugin.ParsePackage(t.Context(), zipped(t, entry{name: "a", content: content})); err != nil {
				break
			}
			dense = content
		}
	}
	large := incompressible(plugin.MaxPackageEntry + 1)
	// What is compressed of three makes the package itself short enough.
	const short = 1 << 20
	rest := plugin.MaxPackageTotal - plugin.MaxPackageEntry - short - len(goodManifest) - len(someWasm)
	three := func(more int) []byte {
		return zipped(t, entry{name: "a", content: large[:plugin.MaxPackageEntry], stored: true},
			entry{name: "b", content: large[:rest], stored: true}, entry{name: "c", content: large[:short+more]})
	}
	for _, c := range []struct {
		name     string
		is, over []byte
		says     string
	}{
		{"entries", zipped(t, many(plugin.MaxPackageEntries)...), zipped(t, many(plugin.MaxPackageEntries+1)...), "257 entries, at most 256"},
		{"ratio", zipped(t, entry{name: "a", content: dense}), zipped(t, entry{name: "a", content: dense + "0"}), "more than 200 times"},
		{"one file", zipped(t, entry{name: "a", content: large[:plugin.MaxPackageEntry], stored: true}), zipped(t, entry{name: "a", content: large, stored: true}), "more than 67108864 bytes"},
		{"all files", three(0), three(1), "its files have more than 134217728 bytes"},
	} {
		if _, err := plugin.ParsePackage(t.Context(), c.is); err != nil {
			t.Errorf("%s: the most that is allowed: %v", c.name, err)
		}
		if _, err := plugin.ParsePackage(t.Context(), c.over); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: one more: got %v, want %q", c.name, err, c.says)
		}
	}
	if _, err := plugin.ParsePackage(t.Context(), make([]byte, plugin.MaxPackageTotal+1)); err == nil || !strings.Contains(err.Error(), "it has more than 134217728 bytes") {
		t.Errorf("a long package: %v", err)
	}
	if _, err := plugin.ParsePackage(t.Context(), zipped(t, many(20_000)...)); err == nil || !strings.Contains(err.Error(), "entries, at most 256") {
		t.Errorf("a package of entries alone: %v", err)
	}
}

func TestReadPackage(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.ndp", zipped(t))
	if p, err := plugin.ReadPackage(t.Context(), good); err != nil || p.Path != good || p.Modified.IsZero() {
		t.Errorf("got %+v, %v", p, err)
	}
	for path, says := range map[string]string{
		filepath.Join(dir, "none.ndp"):    "plugin package not found: " + filepath.Join(dir, "none.ndp"),
		write("good.zip", zipped(t)):      "not a valid plugin package: " + filepath.Join(dir, "good.zip") + " (expected .ndp extension)",
		write("good.NDP", zipped(t)):      "expected .ndp extension",
		write("bad.ndp", []byte("hello")): filepath.Join(dir, "bad.ndp") + ": not a valid plugin package",
	} {
		if _, err := plugin.ReadPackage(t.Context(), path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", path, err, says)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errTired)
	if _, err := plugin.ReadPackage(ctx, good); !errors.Is(err, errTired) {
		t.Errorf("got %v, want the cause", err)
	}
}

var errTired = errors.New("tired")

func FuzzParsePackage(f *testing.F) {
	f.Add(zipped(f))
	f.Add(zipped(f, entry{name: "docs/a.md", content: "x"}, entry{name: "../evil", content: "x"}))
	f.Add(zipOf(f, entry{name: "Plugin.wasm", content: someWasm, stored: true}))
	f.Fuzz(func(t *testing.T, content []byte) {
		p, err := plugin.ParsePackage(t.Context(), content)
		if err != nil {
			if !errors.Is(err, plugin.ErrBadPackage) || p != nil {
				t.Errorf("refused with %v and %v", err, p)
			}
			return
		}
		dir := t.TempDir()
		if err := plugin.Install(t.Context(), filepath.Join(dir, "plugins"), "it", p, nil); err != nil {
			t.Fatalf("what was accepted cannot be installed: %v", err)
		}
		var size int64
		err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if info.Mode().IsRegular() && d.Name() != ".lock" {
				if !strings.HasPrefix(path, filepath.Join(dir, "plugins", "it")+string(filepath.Separator)) {
					t.Errorf("%s is outside", path)
				}
				size += info.Size()
			}
			return nil
		})
		if err != nil || size != p.Unpacked {
			t.Errorf("%d bytes are there, %d were announced: %v", size, p.Unpacked, err)
		}
	})
}
