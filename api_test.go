package hotpath_test

import (
	"bytes"
	"errors"
	"flag"
	"go/ast"
	"go/doc"
	"go/printer"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write api/*.txt anew")

// maxNames is the most top-level names that a package may export: what does not fit into a
// head is two packages.
const maxNames = 16

// The exported API of each package is what api/<package>.txt says, so that changing it is
// a deliberate diff. `make api` writes the files.
func TestAPI(t *testing.T) {
	packages, fset := map[string][]*ast.File{}, (*token.FileSet)(nil)
	for _, s := range sources(t) {
		if !s.isTest() && s.dir != "" && !strings.HasPrefix(s.dir, "internal/") {
			packages[s.dir], fset = append(packages[s.dir], s.file), s.fset
		}
	}
	expected := map[string]bool{}
	for dir, files := range packages {
		name := filepath.Join("api", path.Base(dir)+".txt")
		expected[name] = true
		got, names := exported(t, fset, dir, files)
		if names > maxNames {
			t.Errorf("%s exports %d names, more than %d", dir, names, maxNames)
		}
		if *update {
			if err := errors.Join(os.MkdirAll("api", 0o755), os.WriteFile(name, got, 0o644)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Errorf("%v: run make api", err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("the exported API of %s is not what %s says; if that is meant, run make api.\n%s", dir, name, firstDifference(got, want))
		}
	}
	found, _ := filepath.Glob("api/*.txt")
	for _, name := range found {
		if !expected[name] {
			t.Errorf("%s belongs to no package", name)
		}
	}
}

// exported prints the declarations of a package without comments and bodies.
func exported(t *testing.T, fset *token.FileSet, dir string, files []*ast.File) (text []byte, names int) {
	t.Helper()
	p, err := doc.NewFromFiles(fset, files, module+"/"+dir)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString("package " + dir + "\n")
	show := func(decl ast.Decl) {
		ast.Inspect(decl, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				n.Doc, n.Body = nil, nil
			case *ast.GenDecl:
				n.Doc = nil
			case *ast.TypeSpec:
				n.Doc, n.Comment = nil, nil
			case *ast.ValueSpec:
				n.Doc, n.Comment = nil, nil
			case *ast.Field:
				n.Doc, n.Comment = nil, nil
			}
			return true
		})
		b.WriteByte('\n')
		if err := (&printer.Config{Mode: printer.UseSpaces | printer.TabIndent, Tabwidth: 8}).Fprint(&b, fset, decl); err != nil {
			t.Fatal(err)
		}
		b.WriteByte('\n')
	}
	values := func(list []*doc.Value) {
		for _, v := range list {
			names += len(v.Names)
			show(v.Decl)
		}
	}
	values(p.Consts)
	values(p.Vars)
	for _, f := range p.Funcs {
		names++
		show(f.Decl)
	}
	for _, typ := range p.Types {
		names++
		show(typ.Decl)
		values(typ.Consts)
		values(typ.Vars)
		for _, f := range typ.Funcs {
			names++
			show(f.Decl)
		}
		for _, m := range typ.Methods {
			show(m.Decl)
		}
	}
	return b.Bytes(), names
}

func firstDifference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		line := func(lines []string) string {
			if i < len(lines) {
				return lines[i]
			}
			return "(nothing)"
		}
		if line(g) != line(w) {
			return "code: " + line(g) + "\nfile: " + line(w)
		}
	}
	return ""
}
