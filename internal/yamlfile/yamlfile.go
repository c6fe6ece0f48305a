// Package yamlfile reads YAML that others wrote, within bounds that hold before
// anything is built of it: size, nesting, number of documents, of members of one
// mapping and of tokens, and how large aliases make it. A file of a few hundred bytes
// can otherwise ask for gigabytes.
package yamlfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The bounds.
const (
	MaxBytes    = 1 << 20 // of YAML
	MaxJSON     = 8 << 20 // of JSON, which is read without a tree
	maxDepth    = 64
	maxDocs     = 100
	maxKeys     = 1000    // members of one mapping: reading them is quadratic
	maxTokens   = 300_000 // words and signs
	maxNodes    = 300_000 // values, with every alias in full
	maxBrackets = 50_000
	maxSigns    = 1000 // tags, anchors, aliases and complex keys
)

// An Error is what is wrong with a file, and where.
type Error struct {
	Line int // 0 if it is about the whole
	Why  string
}

// Error reads "line 3: …".
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Why
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Why)
}

func wrong(line int, format string, args ...any) error {
	return &Error{Line: line, Why: fmt.Sprintf(format, args...)}
}

// Check returns text without a byte-order mark, and refuses what is beyond the
// bounds or no text. What it returns may be given to a parser.
func Check(text []byte) ([]byte, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if len(text) > MaxBytes {
		return nil, wrong(0, "a YAML file has at most %d bytes; split it, or write it as JSON", MaxBytes)
	}
	if err := readable(text); err != nil {
		return nil, err
	}
	if err := shallow(text); err != nil {
		return nil, err
	}
	return text, bounded(lexer.Tokenize(string(text)))
}

// readable refuses bytes that are no text (YAML 1.2 section 5.1).
func readable(text []byte) error {
	line := 1
	for i, b := range text {
		switch {
		case b == '\n':
			line++
		case b < ' ' && b != '\t' && b != '\r' || b == 0x7F:
			return wrong(line, "the byte %#02x is no text", b)
		case b >= 0x80 && utf8.RuneStart(b):
			if r, n := utf8.DecodeRune(text[i:]); r == utf8.RuneError && n == 1 || r >= 0x80 && r < 0xA0 && r != 0x85 {
				return wrong(line, "it is not UTF-8, or holds a control character")
			}
		}
	}
	if !utf8.Valid(text) {
		return wrong(0, "it is not UTF-8")
	}
	return nil
}

// shallow counts dashes, spaces and brackets without reading what they mean: no
// honest file comes near these numbers, and what reads it pays for each.
func shallow(text []byte) error {
	line := 1
	for l := range bytes.Lines(text) {
		rest, dashes := bytes.TrimLeft(l, " "), 0
		indent := len(l) - len(rest)
		for len(rest) > 1 && (rest[0] == '-' || rest[0] == '?') && rest[1] == ' ' {
			rest, dashes = bytes.TrimLeft(rest[1:], " "), dashes+1
		}
		if dashes > maxDepth || indent > 1000 {
			return wrong(line, "it is nested too deep")
		}
		line++
	}
	if bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) > maxBrackets {
		return wrong(0, "it has more than %d brackets", maxBrackets)
	}
	return nil
}

// bounded counts what a parser would build of tokens.
func bounded(tokens token.Tokens) error {
	if len(tokens) > maxTokens {
		return wrong(0, "it has more than %d words and signs", maxTokens)
	}
	s := shape{block: map[int]int{}}
	for i, t := range tokens {
		key := 0
		if i > 0 {
			key = tokens[i-1].Position.Column
		}
		if err := s.add(t, key); err != nil {
			return err
		}
	}
	return nil
}

// A shape is what the tokens so far have open.
type shape struct {
	docs, signs int
	flow        []int       // members of each bracket
	block       map[int]int // members of the mapping at each column
}

// add takes in t, whose name, if it is the colon of a member, stands at column key.
func (s *shape) add(t *token.Token, key int) error {
	line, members := t.Position.Line, 0
	s.leave(t)
	switch t.Type {
	case token.DocumentHeaderType:
		s.docs++
	case token.TagType, token.AnchorType, token.AliasType, token.MappingKeyType, token.MergeKeyType:
		s.signs++
	case token.SequenceStartType, token.MappingStartType:
		s.flow = append(s.flow, 0)
	case token.SequenceEndType, token.MappingEndType:
		s.flow = s.flow[:max(0, len(s.flow)-1)]
	case token.MappingValueType:
		members = s.member(key)
	default:
	}
	switch {
	case s.docs > maxDocs:
		return wrong(line, "it has more than %d documents", maxDocs)
	case s.signs > maxSigns:
		return wrong(line, "it has more than %d tags, anchors and aliases", maxSigns)
	case len(s.flow) > maxDepth || len(s.block) > maxDepth:
		return wrong(line, "it is nested too deep")
	case members > maxKeys:
		return wrong(line, "one mapping has more than %d members", maxKeys)
	}
	return nil
}

// leave closes the mappings that end where t stands.
func (s *shape) leave(t *token.Token) {
	if len(s.flow) > 0 || t.Type == token.MappingValueType {
		return
	}
	for at := range s.block {
		if at > t.Position.Column || t.Type == token.DocumentHeaderType {
			delete(s.block, at)
		}
	}
}

// member counts one more in the mapping that is open, and returns how many it has.
func (s *shape) member(key int) int {
	if n := len(s.flow); n > 0 {
		s.flow[n-1]++
		return s.flow[n-1]
	}
	s.block[key]++
	return s.block[key]
}

// A Document is one of a file: its value as JSON, and where its parts stand.
type Document struct {
	JSON  []byte
	body  ast.Node
	lines int // before it
}

// Read returns the documents of text, which is YAML, or JSON of up to MaxJSON bytes.
// An empty document is left out.
func Read(text []byte) ([]Document, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if start := bytes.TrimLeft(text, " \t\r\n"); len(start) > 0 && (start[0] == '{' || start[0] == '[') && len(text) <= MaxJSON && json.Valid(text) {
		d := Document{JSON: text}
		if checked, err := Check(text); err == nil { // only to say where something stands
			if f, err := parser.ParseBytes(checked, 0); err == nil && len(f.Docs) == 1 {
				d.body = f.Docs[0].Body
			}
		}
		return []Document{d}, nil
	}
	text, err := Check(text)
	if err != nil {
		return nil, err
	}
	var out []Document
	for _, p := range split(text) {
		docs, err := p.read()
		if err != nil {
			return nil, err
		}
		out = append(out, docs...)
	}
	return out, nil
}

// A part of a file is one document of it, which begins behind some lines.
type part struct {
	text  []byte
	lines int
}

// split cuts a file at the marks between its documents. The parser does so too, but
// stops at a document that is empty and drops what comes after it.
func split(text []byte) []part {
	var starts []int // lines a document begins with, from 0
	for _, t := range lexer.Tokenize(string(text)) {
		switch t.Type {
		case token.DocumentHeaderType:
			starts = append(starts, t.Position.Line-1)
		case token.DocumentEndType:
			starts = append(starts, t.Position.Line)
		default:
		}
	}
	var parts []part
	begin, line, rest := 0, 0, text
	for _, at := range starts {
		end := 0
		for ; line < at && end < len(rest); line++ {
			end += max(1, bytes.IndexByte(rest[end:], '\n')+1)
		}
		parts, rest = append(parts, part{rest[:end], begin}), rest[end:]
		begin = at
	}
	return append(parts, part{rest, begin})
}

// read returns the document of a part, if it is not empty.
func (p part) read() (docs []Document, err error) {
	file, err := parser.ParseBytes(p.text, 0)
	if err != nil {
		return nil, p.syntax(err)
	}
	n := counter{anchors: map[string]int{}}
	for _, doc := range file.Docs {
		switch doc.Body.(type) {
		case nil, *ast.NullNode, *ast.CommentGroupNode:
			continue
		}
		if n.of(doc.Body) > maxNodes {
			return nil, wrong(0, "its aliases make more than %d values of it", maxNodes)
		}
		if n.unknown != "" {
			return nil, wrong(p.lines+n.line, "the alias *%s names nothing that stands before it", n.unknown)
		}
		var value any
		if err := yaml.NodeToValue(doc.Body, &value); err != nil {
			return nil, p.syntax(err)
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("not what JSON can say: %w", err)
		}
		docs = append(docs, Document{JSON: raw, body: doc.Body, lines: p.lines})
	}
	return docs, nil
}

func (p part) syntax(err error) error {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		return wrong(p.lines+at.GetToken().Position.Line, "%s", at.GetMessage())
	}
	return wrong(0, "%s", yaml.FormatError(err, false, true))
}

// A counter counts values, each alias as what it stands for.
type counter struct {
	anchors map[string]int
	unknown string // an alias of nothing
	line    int
}

func (c *counter) of(node ast.Node) int {
	n := 1
	add := func(of ast.Node) {
		if of != nil && n <= maxNodes {
			n += c.of(of)
		}
	}
	switch v := node.(type) {
	case *ast.MappingNode:
		for _, pair := range v.Values {
			add(pair)
		}
	case *ast.MappingValueNode:
		add(v.Key)
		add(v.Value)
	case *ast.SequenceNode:
		for _, of := range v.Values {
			add(of)
		}
	case *ast.TagNode:
		add(v.Value)
	case *ast.AnchorNode:
		add(v.Value)
		c.anchors[v.Name.GetToken().Value] = n
	case *ast.AliasNode:
		name := v.Value.GetToken().Value
		size, known := c.anchors[name]
		if !known && c.unknown == "" {
			c.unknown, c.line = name, v.GetToken().Position.Line
		}
		n += size
	}
	return min(n, maxNodes+1)
}

// Line returns where the member at path ("clients[2].name") stands, or what it would
// be in; 0 if that is not known.
func (d Document) Line(path string) int {
	node, line := d.body, 0
	for _, step := range strings.FieldsFunc(strings.ReplaceAll(path, "[", ".["), func(r rune) bool { return r == '.' }) {
		var next ast.Node
		if i, ok := strings.CutPrefix(step, "["); ok {
			next = element(node, strings.TrimSuffix(i, "]"))
		} else if pair := pairOf(node, step); pair != nil {
			next, line = pair.Value, pair.Key.GetToken().Position.Line
		}
		if next == nil {
			break
		}
		if strings.HasPrefix(step, "[") && next.GetToken() != nil {
			line = next.GetToken().Position.Line
		}
		node = next
	}
	if line == 0 {
		return 0
	}
	return d.lines + line
}

func element(node ast.Node, index string) ast.Node {
	list, ok := node.(*ast.SequenceNode)
	var i int
	if _, err := fmt.Sscan(index, &i); !ok || err != nil || i < 0 || i >= len(list.Values) {
		return nil
	}
	return list.Values[i]
}

func pairOf(node ast.Node, name string) *ast.MappingValueNode {
	var pairs []*ast.MappingValueNode
	switch v := node.(type) {
	case *ast.MappingNode:
		pairs = v.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{v}
	case *ast.AnchorNode:
		return pairOf(v.Value, name)
	}
	for _, p := range pairs {
		if p.Key.GetToken().Value == name {
			return p
		}
	}
	return nil
}
