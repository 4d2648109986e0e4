package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every command that a page names can be given: the flags of the shop are parsed, other programs
// are there, and make has the target. (What they do has tests of its own.)
func TestDocumentedCommands(t *testing.T) {
	const root = "../.."
	pages, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"README.md", "CONTRIBUTING.md", "bench/README.md", "examples/shop/README.md", "examples/grafana/README.md", "examples/sidecar/README.md"} {
		pages = append(pages, filepath.Join(root, page))
	}
	makefile, err := os.ReadFile(root + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile("go run -C examples \\./([a-z/]+)([^\n`#&>]*)")
	target := regexp.MustCompile("(?m)(?:^|`)make ([a-z]+)")
	commands := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range program.FindAllStringSubmatch(string(text), -1) {
			commands++
			if m[1] != "shop" {
				if out, err := exec.Command("go", "list", "-f", "{{.Name}}", "../"+m[1]).Output(); err != nil || strings.TrimSpace(string(out)) != "main" {
					t.Errorf("%s: %q: %s %v", page, m[0], out, err)
				}
				continue
			}
			command, args := "demo", strings.Fields(m[2])
			if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
				command, args = args[0], args[1:]
			}
			if _, err := parse(command, args, io.Discard); err != nil && !errors.Is(err, flag.ErrHelp) {
				t.Errorf("%s: %q: %v", page, m[0], err)
			}
		}
		for _, m := range target.FindAllStringSubmatch(string(text), -1) {
			commands++
			if !strings.Contains(string(makefile), "\n"+m[1]+": ") {
				t.Errorf("%s: make has no %s", page, m[1])
			}
		}
	}
	if commands < 20 {
		t.Errorf("only %d commands were found", commands)
	}
}
