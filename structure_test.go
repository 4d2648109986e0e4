package hotpath_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/internal/leaktest"

	// Every package of the module, so that TestMain sees what importing them starts.
	_ "github.com/hotpath-go/hotpath/batch"
	_ "github.com/hotpath-go/hotpath/cache"
	_ "github.com/hotpath-go/hotpath/cache/httpcache"
	_ "github.com/hotpath-go/hotpath/cache/ristrettostore"
	_ "github.com/hotpath-go/hotpath/cache/storetest"
	_ "github.com/hotpath-go/hotpath/compress"
	_ "github.com/hotpath-go/hotpath/internal/fault"
	_ "github.com/hotpath-go/hotpath/internal/field"
	_ "github.com/hotpath-go/hotpath/internal/flight"
	_ "github.com/hotpath-go/hotpath/internal/problem"
	_ "github.com/hotpath-go/hotpath/internal/rw"
	_ "github.com/hotpath-go/hotpath/internal/stacktest"
	_ "github.com/hotpath-go/hotpath/internal/stat"
	_ "github.com/hotpath-go/hotpath/internal/statstest"
	_ "github.com/hotpath-go/hotpath/internal/tagset"
	_ "github.com/hotpath-go/hotpath/metrics"
	_ "github.com/hotpath-go/hotpath/partial"
	_ "github.com/hotpath-go/hotpath/pool"
	_ "github.com/hotpath-go/hotpath/pool/bulkhead"
	_ "github.com/hotpath-go/hotpath/throttle"
)

const module = "github.com/hotpath-go/hotpath"

func TestMain(m *testing.M) {
	if started := leaktest.Running(); len(started) > 0 {
		fmt.Fprintf(os.Stderr, "importing hotpath starts goroutines:\n%s\n", strings.Join(started, "\n\n"))
		os.Exit(1)
	}
	leaktest.Main(m)
}

// mayImport says what each package may import besides the standard library, its own parent
// package and, where "internal" stands, any internal package. Sibling packages never import
// each other: a user of one must not pay for another, nor have its dependencies upgraded.
var mayImport = map[string][]string{
	"":                     {},
	"batch":                {"internal", "golang.org/x/sync"},
	"cache":                {"internal", "golang.org/x/sync"},
	"cache/httpcache":      {"internal"},
	"cache/rediscache":     {"github.com/redis/rueidis", "golang.org/x/sync"},
	"cache/ristrettostore": {"github.com/dgraph-io/ristretto/v2"},
	"cache/storetest":      {},
	"compress":             {"internal", "github.com/klauspost/compress", "github.com/andybalholm/brotli", "golang.org/x/sync"},
	"compress/static":      {"internal"},
	"internal/fault":       {},
	"internal/field":       {},
	"internal/flight":      {},
	"internal/leaktest":    {},
	"internal/problem":     {"internal/field"},
	"internal/rw":          {},
	"internal/stacktest":   {},
	"internal/stat":        {},
	"internal/statstest":   {"metrics", "github.com/prometheus/client_golang", "github.com/prometheus/client_model"},
	"internal/tagset":      {},
	"metrics":              {"internal/rw", "internal/stat", "github.com/prometheus/client_golang", "github.com/prometheus/client_model"},
	"partial":              {"internal"},
	"pool":                 {"internal"},
	"pool/bulkhead":        {"internal"},
	"throttle":             {"internal"},

	"throttle/redisthrottle": {"github.com/redis/rueidis"},
}

// ownModules are those of them that are modules of their own.
var ownModules = []string{"cache/rediscache", "throttle/redisthrottle"}

// testHelpers are for tests only: one brings package testing into a program, the other Prometheus.
var testHelpers = []string{"internal/leaktest", "internal/statstest"}

// notItsParent lists the packages that stand below another one without being part of it.
var notItsParent = []string{"pool/bulkhead"}

// A source is one Go file of the root module or of ownModules.
type source struct {
	name  string // relative to the root, with slashes
	dir   string // "" for the root
	fset  *token.FileSet
	file  *ast.File
	lines int
}

func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

func sources(t *testing.T) (all []source) {
	t.Helper()
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(name, "go.mod"))
			if name != "." && (nested == nil && !slices.Contains(ownModules, filepath.ToSlash(name)) || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		dir := path.Dir(name)
		if dir == "." {
			dir = ""
		}
		all = append(all, source{name, dir, fset, file, bytes.Count(text, []byte("\n"))})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d Go files found: the test does not run at the root of the module", len(all))
	}
	return all
}

func imports(s source) (paths []string) {
	for _, spec := range s.file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

// inStandardLibrary: the first element of any other import path has a dot.
func inStandardLibrary(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}

func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		allowed, known := mayImport[s.dir]
		if !known {
			t.Errorf("%s: package %s has no row in mayImport: say what it may import", s.name, s.dir)
			continue
		}
		for _, p := range imports(s) {
			inside, ours := strings.CutPrefix(p, module+"/")
			inRow := !ours && slices.ContainsFunc(allowed, func(a string) bool { return p == a || strings.HasPrefix(p, a+"/") })
			switch {
			case inStandardLibrary(p), inRow:
			case s.isTest() && slices.Contains(ownModules, s.dir) && ours:
			case s.isTest():
				// What the package itself imports is there anyway, and an example may need it.
				if !ours {
					t.Errorf("%s imports %s: the root module has no third-party test dependency", s.name, p)
				}
			case ours && (inside == s.dir || inside == path.Dir(s.dir) && !slices.Contains(notItsParent, s.dir)):
			case ours && slices.Contains(allowed, inside):
			case ours && slices.Contains(allowed, "internal") && strings.HasPrefix(inside, "internal/") && !slices.Contains(testHelpers, inside):
			default:
				t.Errorf("%s imports %s, which is not in its row of mayImport", s.name, p)
			}
		}
	}
}

func TestImports_SeeEveryPackage(t *testing.T) {
	var here []string
	packages := map[string]bool{}
	for _, s := range sources(t) {
		if s.name == "structure_test.go" {
			here = imports(s)
		}
		if s.dir != "" && !s.isTest() && !slices.Contains(ownModules, s.dir) {
			packages[module+"/"+s.dir] = true
		}
	}
	for p := range packages {
		if !slices.Contains(here, p) {
			t.Errorf("structure_test.go does not import %s", p)
		}
	}
}

func TestFiles_AreSmall(t *testing.T) {
	for _, s := range sources(t) {
		if s.lines > 500 && !s.isTest() {
			t.Errorf("%s has %d lines, more than 500: which two themes are in it?", s.name, s.lines)
		}
	}
}

// constants are package-level variables that are written once, where they are declared, and
// that Go has no constant form for.
var constants = map[string]string{
	"cache.started":        "the base of the monotonic clock",
	"redisthrottle.script": "a file of the package",
}

func TestPackages_HaveNoState(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		for _, decl := range s.file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Name.Name == "init" && decl.Recv == nil {
					t.Errorf("%s has an init function", s.name)
				}
			case *ast.GenDecl:
				if decl.Tok != token.VAR {
					continue
				}
				for _, spec := range decl.Specs {
					spec := spec.(*ast.ValueSpec)
					for i, name := range spec.Names {
						qualified := s.file.Name.Name + "." + name.Name
						if name.Name != "_" && constants[qualified] == "" && (i >= len(spec.Values) || !isConstant(spec.Values[i])) {
							t.Errorf("%s: variable %s is state that all users of the package share", s.name, qualified)
						}
					}
				}
			}
		}
	}
}

// isConstant reports whether a variable with this value can pass for a constant: an error, a
// table, or a pool, which holds nothing that anybody could miss.
func isConstant(value ast.Expr) bool {
	switch v := value.(type) {
	case *ast.CallExpr:
		return isSelector(v.Fun, "errors", "New") || isSelector(v.Fun, "fmt", "Errorf")
	case *ast.SelectorExpr:
		return isSelector(v, "fault", "NotFound")
	case *ast.CompositeLit:
		if a, ok := v.Type.(*ast.ArrayType); ok {
			_, fixed := a.Len.(*ast.Ellipsis)
			return fixed
		}
		return isSelector(v.Type, "sync", "Pool")
	}
	return false
}

func isSelector(e ast.Expr, pkg, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == pkg
}
