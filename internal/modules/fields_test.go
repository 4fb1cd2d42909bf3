package modules_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"strings"
	"testing"
)

// undocumented are the exported fields of structs in a file that have no comment, by their places. An embedded struct has its
// own.
func undocumented(t *testing.T, name string) (places []string, fields int) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, read(t, name), parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	if ast.IsGenerated(file) {
		return nil, 0
	}
	for _, declaration := range file.Decls {
		general, is := declaration.(*ast.GenDecl)
		if !is {
			continue
		}
		for _, spec := range general.Specs {
			declared, is := spec.(*ast.TypeSpec)
			if !is || !declared.Name.IsExported() {
				continue
			}
			structure, is := declared.Type.(*ast.StructType)
			if !is {
				continue
			}
			for _, field := range structure.Fields.List {
				if len(field.Names) == 0 || !field.Names[0].IsExported() {
					continue
				}
				fields++
				if field.Doc == nil && field.Comment == nil {
					places = append(places, files.Position(field.Pos()).String())
				}
			}
		}
	}
	return places, fields
}

// What others import, and what goes over the wire, says of each field what it means: its unit, and what its zero value is.
func TestEveryFieldIsDocumented(t *testing.T) {
	t.Parallel()
	all := make(map[string]int)
	for _, folder := range []string{"subjects", "sdk", "plugintest"} {
		for _, name := range tracked(t, folder+"/*.go") {
			if strings.HasSuffix(name, "_test.go") || strings.Contains(path.Dir(name), "internal") {
				continue
			}
			places, fields := undocumented(t, name)
			all[folder] += fields
			for _, place := range places {
				t.Errorf("%s: the field has no comment", place)
			}
		}
		if all[folder] < 10 {
			t.Errorf("%s has only %d fields", folder, all[folder])
		}
	}
}
