package hotpath_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The program of the README is what a new user would paste: it has to build, in a module that
// gets hotpath in the way the README says.
func TestReadme_ItsProgramBuilds(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "```go\n")
	program, _, closed := strings.Cut(rest, "```")
	if !found || !closed || !strings.HasPrefix(program, "package main\n") {
		t.Fatal("README.md has no Go program")
	}
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.go": program,
		"go.mod":  "module example.com/readme\n\ngo 1.25\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"mod", "edit", "-require", module + "@v0.0.0", "-replace", module + "=" + root},
		{"mod", "tidy"},
		{"vet", "."},
		{"build", "-o", filepath.Join(dir, "readme.bin"), "."},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// What the README links to is there.
func TestReadme_LinksLead(t *testing.T) {
	files, err := filepath.Glob("docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	files = append(files, "README.md", "CONTRIBUTING.md", "SECURITY.md", "bench/README.md", "examples/shop/README.md", "examples/grafana/README.md", "examples/sidecar/README.md")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rest := string(text)
		for {
			_, after, found := strings.Cut(rest, "](")
			if !found {
				break
			}
			link, tail, _ := strings.Cut(after, ")")
			rest = tail
			if strings.Contains(link, "://") || strings.HasPrefix(link, "#") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), link)); err != nil {
				t.Errorf("%s links to %s: %v", file, link, err)
			}
		}
	}
}
