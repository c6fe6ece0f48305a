package conformance

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/gatekeeper-oidc/gatekeeper"

// floors lists every package by its floor. A package imports lower floors only:
// never one above, never a neighbour.
var floors = [][]string{
	{"internal/fault", "internal/meter", "internal/strictjson", "internal/yamlfile", "internal/flight"},
	{"keys", "templates", "migrations", "internal/ratelimit", "internal/config", "internal/fetch"},
	{"internal/web"},
	{"audit"},
	{"identity"},
	{"oauth2"},
	{"login", "consent", "oidc", "introspect"},
	{"account", "admin"},
	{"storage", "storage/state"},
	{"conformance", "conformance/suite"},
	{"conformance/suite/flow"},
	{
		"conformance/suite/basic", "conformance/suite/implicit", "conformance/suite/hybrid", "conformance/suite/config",
		"conformance/suite/thirdparty", "conformance/suite/logout", "conformance/suite/deployment",
	},
	{"conformance/suite/formpost", "conformance/suite/dynamic"},
	{"conformance/suite/profiles"},
	{"cmd/gatekeeper", "scripts/freeport", "scripts/overload"},
}

// forbidden are edges that floors alone would allow.
var forbidden = map[string][]string{
	"storage":       {"internal/web", "templates", "login", "oidc", "introspect", "account", "admin"},
	"storage/state": {"internal/web", "templates", "login", "oidc", "introspect", "account", "admin"},
	"identity":      {"templates", "keys"},
	"introspect":    {"templates"},
	"admin":         {"templates"},
}

// homes gives each third-party module the only packages that may import it.
var homes = map[string][]string{
	"github.com/ory/fosite":               {"oauth2"},
	"github.com/go-jose/go-jose/v4":       {"keys"},
	"github.com/go-chi/chi/v5":            {"internal/web"},
	"github.com/jackc/pgx/v5":             {"storage"},
	"github.com/exaring/otelpgx":          {"storage"},
	"github.com/pressly/goose/v3":         {"storage"},
	"modernc.org/sqlite":                  {"storage"},
	"github.com/redis/go-redis/v9":        {"storage/state"},
	"github.com/maypok86/otter/v2":        {"internal/fetch", "oauth2", "oidc"},
	"github.com/google/uuid":              {"audit", "identity", "oauth2", "storage"},
	"github.com/prometheus/client_golang": {"internal/meter"},
	"github.com/goccy/go-yaml":            {"internal/yamlfile", "internal/config", "cmd/gatekeeper"},
	"github.com/spf13/cobra":              {"cmd/gatekeeper"},
	"github.com/spf13/pflag":              {"cmd/gatekeeper"},
	"golang.org/x/term":                   {"cmd/gatekeeper"},
	"golang.org/x/crypto":                 {"identity", "keys"},
	"golang.org/x/text":                   {"identity", "templates"},
	"golang.org/x/sync":                   {"oauth2", "storage", "cmd/gatekeeper"},
	"go.opentelemetry.io":                 {"internal/web", "storage", "cmd/gatekeeper"},
	"github.com/coreos/go-oidc/v3":        {"cmd/gatekeeper", "conformance/suite"}, // gatekeeper try and the suite are applications
	"golang.org/x/net":                    {"conformance/suite", "identity"},       // the suite's browser reads HTML; domains of addresses have one spelling
	"golang.org/x/oauth2":                 {"cmd/gatekeeper"},
	"github.com/coreos/go-systemd/v22":    {"cmd/gatekeeper"},
	"github.com/google/go-cmp":            {"conformance"},
}

// worldly is what only cmd may touch; everybody else is handed it.
var worldly = []string{
	"time.Now", "time.Since", "time.Until", "os.Getenv", "os.LookupEnv", "os.Environ", "os.Exit",
	"log.Fatal", "log.Printf", "log.Println", "fmt.Print", "fmt.Printf", "fmt.Println",
	"context.Background", "context.TODO", "http.DefaultClient", "http.Error", "slog.Default",
}

const (
	maxFile   = 400
	maxFunc   = 60
	maxParams = 5
)

func TestHouse(t *testing.T) {
	t.Parallel()
	floor := map[string]int{}
	for i, names := range floors {
		for _, n := range names {
			floor[n] = i
		}
	}
	h := &house{t: t, fset: token.NewFileSet(), floor: floor, docs: map[string]bool{}}
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "tools" || p != ".." && strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		return h.file(p)
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range floor {
		if !h.docs[pkg] {
			t.Errorf("%s: no package comment, or no such package", pkg)
		}
	}
}

type house struct {
	t     *testing.T
	fset  *token.FileSet
	floor map[string]int
	docs  map[string]bool
}

func (h *house) file(p string) error {
	src, err := os.ReadFile(p)
	if err != nil {
		return err
	}
	f, err := parser.ParseFile(h.fset, p, src, parser.ParseComments)
	if err != nil || ast.IsGenerated(f) {
		return err
	}
	rel, err := filepath.Rel("..", filepath.Dir(p))
	if err != nil {
		return err
	}
	pkg := filepath.ToSlash(rel)
	if _, ok := h.floor[pkg]; !ok {
		h.t.Errorf("%s: package has no floor; add it to floors or do without it", pkg)
		return nil
	}
	h.docs[pkg] = h.docs[pkg] || f.Doc != nil
	if n := strings.Count(string(src), "\n"); n > maxFile {
		h.t.Errorf("%s: %d lines; a file has at most %d", p, n, maxFile)
	}
	for _, im := range f.Imports {
		h.imported(p, pkg, im)
	}
	h.decls(pkg, f)
	if !strings.HasPrefix(pkg, "cmd/") && !strings.HasPrefix(pkg, "scripts/") {
		h.world(f)
	}
	return nil
}

func (h *house) imported(file, pkg string, im *ast.ImportSpec) {
	h.t.Helper()
	target, err := strconv.Unquote(im.Path.Value)
	if err != nil {
		h.t.Fatal(err)
	}
	if sub, ok := strings.CutPrefix(target, module+"/"); ok {
		switch to, known := h.floor[sub]; {
		case !known:
			h.t.Errorf("%s imports %s, which has no floor", file, sub)
		case to >= h.floor[pkg]:
			h.t.Errorf("%s (floor %d) imports %s (floor %d); imports point down", file, h.floor[pkg], sub, to)
		case slices.Contains(forbidden[pkg], sub):
			h.t.Errorf("%s imports %s, which %s must never know", file, sub, pkg)
		}
		return
	}
	if !strings.Contains(strings.Split(target, "/")[0], ".") {
		return // standard library
	}
	for mod, where := range homes {
		if target == mod || strings.HasPrefix(target, mod+"/") {
			if !slices.Contains(where, pkg) {
				h.t.Errorf("%s imports %s, whose home is %v", file, target, where)
			}
			return
		}
	}
	h.t.Errorf("%s imports %s, which has no home; add it to homes with a reason in the commit", file, target)
}

func (h *house) decls(pkg string, f *ast.File) {
	h.t.Helper()
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			at := h.fset.Position(d.Pos())
			if d.Name.Name == "init" {
				h.t.Errorf("%s: init; wire in cmd instead", at)
			}
			if n := h.fset.Position(d.End()).Line - at.Line + 1; n > maxFunc {
				h.t.Errorf("%s: %s has %d lines; a function has at most %d", at, d.Name.Name, n, maxFunc)
			}
			if n := d.Type.Params.NumFields(); n > maxParams {
				h.t.Errorf("%s: %s takes %d parameters; at most %d, then a struct", at, d.Name.Name, n, maxParams)
			}
			if d.Name.IsExported() && d.Doc == nil && pkg != "conformance" && (d.Recv == nil || exportedReceiver(d.Recv)) {
				h.t.Errorf("%s: exported %s has no comment", at, d.Name.Name)
			}
		case *ast.GenDecl:
			if d.Tok == token.VAR {
				h.vars(d)
			}
		}
	}
}

func exportedReceiver(r *ast.FieldList) bool {
	t := r.List[0].Type
	if s, ok := t.(*ast.StarExpr); ok {
		t = s.X
	}
	id, ok := t.(*ast.Ident)
	return ok && id.IsExported()
}

// world reports what a package takes from the world instead of being handed it.
func (h *house) world(f *ast.File) {
	h.t.Helper()
	ast.Inspect(f, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Obj == nil && slices.Contains(worldly, x.Name+"."+s.Sel.Name) {
			h.t.Errorf("%s: %s.%s; take it as a dependency", h.fset.Position(n.Pos()), x.Name, s.Sel.Name)
		}
		return true
	})
}

// vars lets package variables be errors, assertions, embeds and lookup tables
// (lower-case, with a value, that nobody assigns to).
func (h *house) vars(d *ast.GenDecl) {
	h.t.Helper()
	embedded := d.Doc != nil && slices.ContainsFunc(d.Doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed") })
	for _, s := range d.Specs {
		v, ok := s.(*ast.ValueSpec)
		if !ok {
			continue
		}
		for _, n := range v.Names {
			isErr := strings.HasPrefix(n.Name, "Err") || strings.HasPrefix(n.Name, "err")
			if n.Name == "_" || isErr || embedded || !n.IsExported() && len(v.Values) > 0 {
				continue
			}
			h.t.Errorf("%s: package variable %s; hold it in a struct", h.fset.Position(n.Pos()), n.Name)
		}
	}
}
