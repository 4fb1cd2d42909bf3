package deploy_test

import (
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/pluginhost/pluginhost/testenv/guests"
)

// instruction is one of the Dockerfile.
type instruction struct{ name, text string }

func dockerfile(t *testing.T) []instruction {
	t.Helper()
	var instructions []instruction
	for line := range strings.Lines(strings.ReplaceAll(read(t, "Dockerfile"), "\\\n", " ")) {
		if name, text, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			instructions = append(instructions, instruction{name, strings.TrimSpace(text)})
		}
	}
	return instructions
}

// find returns the last instruction of a name whose text has a part.
func find(t *testing.T, name, part string) string {
	t.Helper()
	found := ""
	for _, i := range dockerfile(t) {
		if i.name == name && strings.Contains(i.text, part) {
			found = i.text
		}
	}
	if found == "" {
		t.Fatalf("the Dockerfile has no %s with %q", name, part)
	}
	return found
}

// imageEnvironment is what ENV says.
func imageEnvironment(t *testing.T) map[string]string {
	t.Helper()
	environment := make(map[string]string)
	for _, field := range strings.Fields(find(t, "ENV", "")) {
		name, value, _ := strings.Cut(field, "=")
		environment[name] = value
	}
	return environment
}

// words is the list that CMD or ENTRYPOINT has.
func words(t *testing.T, name string) []string {
	t.Helper()
	var list []string
	if err := json.Unmarshal([]byte(find(t, name, "")), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// programs runs the go command of the Dockerfile, which does nothing where all is
// current, and returns the folder of the programs that it makes.
func programs(t *testing.T) string {
	t.Helper()
	out := guests.CacheDir(t, "image")
	lock := flock.New(filepath.Join(out, ".lock"))
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Unlock() }()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(find(t, "RUN", "go build"), " /out/", " "+out+"/"))
	cmd.Dir = guests.Root()
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return out
}

func TestProgramsOfTheImageNeedNoLibraries(t *testing.T) {
	folder := programs(t)
	for _, name := range []string{"pluginhost", "healthcheck"} {
		file, err := elf.Open(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range file.Progs {
			if p.Type == elf.PT_DYNAMIC || p.Type == elf.PT_INTERP {
				t.Errorf("%s is linked dynamically: %v", name, p.Type)
			}
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestImageIsBuiltWithAGoThatIsNewEnough(t *testing.T) {
	module, err := os.ReadFile(filepath.Join(guests.Root(), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(module), "\ngo ")
	want, _, _ := strings.Cut(rest, "\n")
	_, got, _ := strings.Cut(find(t, "FROM", "golang:"), "golang:")
	got, _, _ = strings.Cut(got, " ")
	// 1.26.8 for 1.26.0: of the same line.
	if got[:strings.LastIndexByte(got, '.')] != want[:strings.LastIndexByte(want, '.')] {
		t.Errorf("go %s, the module needs %s", got, want)
	}
}

func TestImageRunsAsNobodyInParticular(t *testing.T) {
	if user := find(t, "USER", ""); user != "65532:65532" {
		t.Errorf("got user %s", user)
	}
	if base := dockerfile(t); !strings.Contains(find(t, "FROM", "scratch"), "scratch") || base[0].name != "FROM" {
		t.Errorf("got %v", base[0])
	}
}

func TestImageHasTheLicencesOfWhatIsInIt(t *testing.T) {
	for _, name := range []string{"LICENSE", "THIRD_PARTY_NOTICES"} {
		fields := strings.Fields(find(t, "COPY", "/src/"+name))
		if to := fields[len(fields)-1]; to != "/licenses/" {
			t.Errorf("%s is copied to %s", name, to)
		}
		ignored := read(t, "Dockerfile.dockerignore")
		if _, err := os.Stat(filepath.Join(guests.Root(), name)); err != nil || strings.Contains(ignored, name) {
			t.Errorf("%s is not in what the image is made of: %v", name, err)
		}
	}
	find(t, "COPY", "/usr/share/doc/ca-certificates/copyright /licenses/")

	folder := programs(t)
	printed, err := exec.CommandContext(t.Context(), filepath.Join(folder, "pluginhost"), "licenses").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pluginhost", "healthcheck"} {
		info, err := buildinfo.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "pluginhost" && len(info.Deps) < 20 {
			t.Errorf("it says that %d modules are linked into it", len(info.Deps))
		}
		for _, module := range info.Deps {
			if strings.HasPrefix(module.Path, info.Main.Path+"/") {
				continue // of this repository, under its licence
			}
			if !strings.Contains(string(printed), "\n"+module.Path+" "+module.Version+": ") {
				t.Errorf("%s is linked into %s, and its licence is not printed", module.Path, name)
			}
		}
	}
}

// The server that everything is tested with.
func TestNATSServersAreOfTheVersionThatIsTested(t *testing.T) {
	image := "docker.io/library/nats:" + server.VERSION + "-alpine"
	for _, file := range []string{"compose.yaml", "kubernetes/nats.yaml"} {
		if !strings.Contains(read(t, file), " "+image+"\n") {
			t.Errorf("%s does not have %s", file, image)
		}
	}
}
