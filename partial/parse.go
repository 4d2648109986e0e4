package partial

import (
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// A MaskError says why a mask was refused.
type MaskError struct {
	Pos    int    // where, as a byte offset in the decoded text
	Field  string // the path of a name that does not exist, or ""
	Reason string // what is wrong: "empty name"
	Hint   string // the path of the nearest name that exists, or ""

	text string
}

// maxEcho is how many bytes of a client's text an error or an answer repeats.
const maxEcho = 64

// clip bounds text that came from a client and makes it valid UTF-8.
func clip(text string) string {
	cut := len(text) > maxEcho
	text = strings.ToValidUTF8(text[:min(len(text), maxEcho)], "\uFFFD") // which may be longer
	for cut && len(text) > maxEcho-3 || len(text) > maxEcho {
		_, n := utf8.DecodeLastRuneInString(text)
		text, cut = text[:len(text)-n], true
	}
	if cut {
		text += "..."
	}
	return text
}

// Error returns, for example:
//
//	partial: empty name at byte 2 of "a,,b"
func (e *MaskError) Error() string { return "partial: " + e.detail() }

func (e *MaskError) detail() string {
	text := e.Reason + " at byte " + strconv.Itoa(e.Pos) + " of " + strconv.Quote(clip(e.text))
	if e.Hint != "" {
		text += ": did you mean " + strconv.Quote(e.Hint) + "?"
	}
	return text
}

// The defaults of Config, which Parse keeps too.
const (
	defaultMaxLength = 4096
	defaultMaxDepth  = 32
	defaultMaxNames  = 256
)

type limits struct{ length, depth, names int }

// Parse returns the mask that fields describes, such as
//
//	items(id,author/email),kind
//
// Names are separated by commas, "/" goes a level down, parentheses group, "*" is every member
// of an object, and a backslash takes the next byte as it is. Arrays have no level: a mask applies
// to each element. "*", "" and blanks give nil, which selects everything. The limits are those
// of a zero [Config]; an error is a [*MaskError].
func Parse(fields string) (*Mask, error) {
	m, err := parseAll(limits{defaultMaxLength, defaultMaxDepth, defaultMaxNames}, nil, []string{fields})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// MustParse is Parse for constants in source code. It panics where that has an error.
func MustParse(fields string) *Mask {
	m, err := Parse(fields)
	if err != nil {
		panic(err)
	}
	return m
}

// parseAll returns the union of texts, whose names must be in allow, nil being all.
func parseAll(l limits, allow *Mask, texts []string) (*Mask, *MaskError) {
	p := parsers.Get().(*parser)
	defer p.release()
	p.limits = l
	err := p.read(texts)
	if err == nil && !allow.everything() {
		err = p.check(allow)
	}
	var m *Mask
	if err == nil {
		m, err = p.build()
	}
	if err != nil {
		err.text = strings.Join(texts, ",") // as Pos counts
		return nil, err
	}
	return m, nil
}

func tooLong(limit int) string { return "more than " + strconv.Itoa(limit) + " bytes" }

// scanName reads the name at text[i:], up to the delimiter at end. Blanks around it are cut off
// (Google's Go client sends "nextPageToken, files(id, name)"), escapes are undone. Star is the
// bare "*"; a reason says what is wrong at end.
func scanName(text string, i int) (name string, star bool, end int, reason string) {
	i = skipBlanks(text, i)
	start, kept := i, i // kept: behind the last byte that is no blank, or is escaped
	escapes := false
scan:
	for i < len(text) {
		switch c := text[i]; c {
		case ',', '/', '(', ')':
			break scan
		case '[', ']':
			return "", false, i, "unescaped " + strconv.Quote(text[i:i+1]) + ", which is reserved,"
		case '\\':
			escapes = escapes || i+1 < len(text)
			i = min(i+2, len(text)) // at the very end it is itself
			kept = i
		case ' ', '\t':
			i++
		default:
			i++
			kept = i
		}
	}
	switch name = text[start:kept]; {
	case name == "":
		return "", false, i, "empty name"
	case name == "**":
		return "", false, start, `"**"`
	case name[0] == '!':
		return "", false, start, `unescaped "!", which is reserved,`
	case name == "*":
		return "", true, i, ""
	}
	if escapes {
		b := make([]byte, 0, len(name))
		for j := 0; j < len(name); j++ {
			if name[j] == '\\' && j+1 < len(name) {
				j++
			}
			b = append(b, name[j])
		}
		name = string(b)
	}
	return name, false, i, ""
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// A parser builds the tree of a mask as it is written: its size is bounded by MaxNames before
// anything is merged.
type parser struct {
	limits
	nodes []written // the root first, parents before their children
	count int       // names read so far, as if groups were written out

	groups []group
	set    []int32 // the bases of each open group, then where the current term has got to
	ends   []int32 // of terms: a "/" behind their group still continues them

	building
}

// A written node is a name of the text. Names that are written twice are two nodes until they are
// merged.
type written struct {
	name        string
	parent      int32
	child, next int32 // its last child and its previous sibling; 0: none
	pos         int32 // in the text
	depth       int16
	star, whole bool
}

// A group is an open "(". Its terms start from set[from:to].
type group struct{ from, to, ends, pos int }

var parsers = sync.Pool{New: func() any { return new(parser) }}

// keptNodes bounds what a mask of unusual limits leaves in the pool.
const keptNodes = 4 * defaultMaxNames

// release gives p back without the text of its client.
func (p *parser) release() {
	if max(cap(p.nodes), cap(p.set), cap(p.ends), cap(p.groups), cap(p.named)) > keptNodes {
		return
	}
	clear(p.nodes)
	clear(p.named[:cap(p.named)])
	*p = parser{
		nodes: p.nodes[:0], set: p.set[:0], ends: p.ends[:0], groups: p.groups[:0],
		building: building{named: p.named[:0]},
	}
	parsers.Put(p)
}

// read adds the paths of texts, which are positioned as if commas joined them.
func (p *parser) read(texts []string) *MaskError {
	total := len(texts) - 1
	for _, text := range texts {
		total += len(text)
	}
	if total > p.length {
		return &MaskError{Pos: p.length, Reason: tooLong(p.length)}
	}
	p.nodes = append(p.nodes, written{})
	base := 0
	for _, text := range texts {
		if strings.Trim(text, " \t") != "" {
			if err := p.readText(text, base); err != nil {
				err.Pos += base
				return err
			}
		}
		base += len(text) + 1
	}
	return nil
}

func (p *parser) readText(text string, base int) *MaskError {
	p.groups = append(p.groups[:0], group{to: 1})
	p.set = append(p.set[:0], 0)
	p.begin()
	for i := 0; ; i++ {
		i = skipBlanks(text, i)
		name, star, end, reason := scanName(text, i)
		if reason != "" {
			return &MaskError{Pos: end, Reason: reason}
		}
		if reason = p.descend(name, star, base+i); reason != "" {
			return &MaskError{Pos: i, Reason: reason}
		}
		i = end
		if i < len(text) && text[i] == '/' {
			continue
		}
		if i < len(text) && text[i] == '(' {
			p.groups = append(p.groups, group{p.top().to, len(p.set), len(p.ends), i})
			p.begin()
			continue
		}
		p.ends = append(p.ends, p.set[p.top().to:]...)
		for i < len(text) && text[i] == ')' {
			if len(p.groups) == 1 {
				return &MaskError{Pos: i, Reason: `")" without "("`}
			}
			closed := p.top()
			p.groups, p.set = p.groups[:len(p.groups)-1], p.set[:closed.from]
			i = skipBlanks(text, i+1)
			if i < len(text) && text[i] == '/' {
				p.resume(closed.ends)
			}
		}
		switch {
		case i == len(text):
			if len(p.groups) > 1 {
				return &MaskError{Pos: p.top().pos, Reason: `"(" without ")"`}
			}
			p.finish()
			return nil
		case text[i] == ',':
			if len(p.groups) == 1 {
				p.finish()
			}
			p.begin()
		case text[i] != '/':
			return &MaskError{Pos: i, Reason: `no "," or "/" after ")"`}
		}
	}
}

func skipBlanks(text string, i int) int {
	for i < len(text) && isBlank(text[i]) {
		i++
	}
	return i
}

func (p *parser) top() group { return p.groups[len(p.groups)-1] }

// begin starts a term of the innermost group.
func (p *parser) begin() {
	g := p.top()
	p.set = append(p.set[:g.to], p.set[g.from:g.to]...)
}

// resume goes on from the terms of a group that a "/" follows.
func (p *parser) resume(from int) {
	p.set = append(p.set, p.ends[from:]...)
	p.ends = p.ends[:from]
}

// finish ends a term outside of all groups: what its paths lead to is selected as a whole.
func (p *parser) finish() {
	for _, n := range p.ends {
		p.nodes[n].whole = true
	}
	p.ends = p.ends[:0]
}

// descend takes each path of the current term a name further.
func (p *parser) descend(name string, star bool, pos int) (reason string) {
	paths := p.set[p.top().to:]
	for _, n := range paths {
		if int(p.nodes[n].depth) >= p.depth {
			return "more than " + strconv.Itoa(p.depth) + " levels"
		}
	}
	if p.count += len(paths); p.count > p.names {
		return p.tooMany()
	}
	for i, parent := range paths {
		at := &p.nodes[parent]
		node := written{name: name, parent: parent, next: at.child, pos: int32(pos), depth: at.depth + 1, star: star}
		at.child = int32(len(p.nodes))
		paths[i] = at.child
		p.nodes = append(p.nodes, node)
	}
	return ""
}

func (p *parser) tooMany() string { return "more than " + strconv.Itoa(p.names) + " names" }
