package modules_test

import (
	"path"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// A version that the root requires is taken from the tree until it is released.
func TestTheWorkspaceHasWhatTheRootRequires(t *testing.T) {
	work, err := modfile.ParseWork("go.work", read(t, "go.work"), nil)
	if err != nil {
		t.Fatal(err)
	}
	here := parse(t, "go.mod")
	if len(here.Replace) > 0 {
		t.Error("go install refuses the root: it replaces a module")
	}
	if version := required(parse(t, "sdk/go.mod"), subjects); version != required(here, subjects) {
		t.Errorf("sdk requires subjects %s, the root %s", version, required(here, subjects))
	}
	used, replaced := make(map[string]bool), make(map[string]string)
	for _, use := range work.Use {
		used[path.Clean(use.Path)] = true
	}
	for _, replace := range work.Replace {
		replaced[replace.Old.Path+" "+replace.Old.Version] = path.Clean(replace.New.Path)
	}
	for _, module := range []string{sdk, subjects} {
		folder := strings.TrimPrefix(module, root+"/")
		if !used[folder] || replaced[module+" "+required(here, module)] != folder {
			t.Errorf("go.work does not have %s %s in %s", module, required(here, module), folder)
		}
	}
	image := string(read(t, "deploy/Dockerfile"))
	before, _, _ := strings.Cut(image, "go mod download")
	for folder := range used {
		if name := path.Join(folder, "go.mod"); !strings.Contains(before, " "+name+" ") {
			t.Errorf("the Dockerfile does not copy %s before it downloads modules", name)
		}
	}
}
