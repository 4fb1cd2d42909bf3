// Package assemblyscript compiles plugins that are written in AssemblyScript, with npm and the compiler that their folder names.
package assemblyscript

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Missing says which of the programs that it needs is not installed; nil if all are.
func Missing() error {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	return nil
}

// Project is a folder in which npm has installed the compiler.
type Project struct{ folder string }

// Install copies the sources in the folder assembly to a folder of that name in the folder work, and the files of JavaScript and
// JSON in the folder locked, and has npm install the compiler that package.json and package-lock.json name.
func Install(ctx context.Context, locked, assembly, work string) (*Project, error) {
	names, err := filepath.Glob(filepath.Join(locked, "*.js*"))
	if err != nil {
		return nil, fmt.Errorf("copy the project: %w", err)
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("copy the project: %w", err)
		}
		if err := os.WriteFile(filepath.Join(work, filepath.Base(name)), content, 0o600); err != nil {
			return nil, fmt.Errorf("copy the project: %w", err)
		}
	}
	if err := os.CopyFS(filepath.Join(work, "assembly"), os.DirFS(assembly)); err != nil {
		return nil, fmt.Errorf("copy the project: %w", err)
	}
	p := &Project{work}
	return p, p.npm(ctx, "ci", "--no-audit", "--no-fund", "--loglevel=error")
}

// Run runs a script of package.json.
func (p *Project) Run(ctx context.Context, script string) error {
	return p.npm(ctx, "run", "--silent", script)
}

// compile has the compiler compile each file to a module, in one process, since it takes long to start.
const compile = `
import { main } from "assemblyscript/asc";
for (const [file, options] of Object.entries(JSON.parse(process.argv[1]))) {
  const { error, stderr } = await main(["assembly/" + file + ".ts", "--outFile", file + ".wasm", ...options]);
  if (error) throw new Error(file + ": " + error + "\n" + stderr.toString());
}`

// Compile compiles files of the folder assembly, which are named without .ts, to a module each, with options of the compiler.
func (p *Project) Compile(ctx context.Context, options map[string][]string) (map[string][]byte, error) {
	files, err := json.Marshal(options)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	if err := p.run(ctx, "node", "--input-type=module", "--eval", compile, string(files)); err != nil {
		return nil, err
	}
	modules := make(map[string][]byte, len(options))
	for file := range options {
		if modules[file], err = p.Read(file + ".wasm"); err != nil {
			return nil, err
		}
	}
	return modules, nil
}

// Read returns a file of the project, such as one that a script has built.
func (p *Project) Read(name string) ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(p.folder, filepath.FromSlash(name)))
	if err != nil {
		return nil, fmt.Errorf("what was built: %w", err)
	}
	return content, nil
}

func (p *Project) npm(ctx context.Context, args ...string) error { return p.run(ctx, "npm", args...) }

func (p *Project) run(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = p.folder
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", program, args, err, output)
	}
	return nil
}
