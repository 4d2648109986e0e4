package batch

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// An envelope is what the client has asked for.
type envelope struct {
	parts []part
	ids   map[string]int // index of a part
}

// A line is one header field of a part, as sent.
type line struct{ name, value string }

// A placed error is a fault of the envelope, and where.
type placed struct {
	at  string
	err error
}

func (p *placed) Error() string { return p.at + ": " + p.err.Error() }

var errTooManyParts = errors.New("too many parts")

const maxID = 256

// parseJSON reads a JSON batch (OData JSON Format 4.01 section 19, MS Graph). Everything is
// checked before any part runs.
func parseJSON(text string, maxParts int) (*envelope, error) {
	s := scanner{text: text}
	env := &envelope{}
	found := false
	err := s.object(nil, "", func(name string) (err error) {
		if name != "requests" {
			_, err = s.skip(maxNesting - 1)
			return err
		}
		found = true
		return env.parse(&s, maxParts)
	})
	switch {
	case err != nil:
		return nil, at(err, "byte "+strconv.Itoa(s.pos))
	case s.peek() != 0 || s.pos < len(text):
		return nil, &placed{"byte " + strconv.Itoa(s.pos), errors.New("more after the end of the envelope")}
	case !found:
		return nil, &placed{"requests", errors.New("must be an array")}
	}
	return env, env.plan()
}

// at gives err a place, unless it has one.
func at(err error, place string) error {
	if _, has := err.(*placed); has || err == errTooManyParts {
		return err
	}
	return &placed{place, err}
}

func (env *envelope) parse(s *scanner, maxParts int) error {
	if !s.take('[') {
		return &placed{"requests", errors.New("must be an array")}
	}
	if s.take(']') {
		return nil
	}
	for {
		if len(env.parts) == maxParts {
			return errTooManyParts
		}
		if len(env.parts) == cap(env.parts) { // a part is big: few steps
			grown := make([]part, len(env.parts), min(maxParts, max(8, 4*len(env.parts))))
			copy(grown, env.parts)
			env.parts = grown
		}
		env.parts = env.parts[:len(env.parts)+1]
		p := &env.parts[len(env.parts)-1]
		p.index = len(env.parts) - 1
		if err := p.parse(s, maxParts); err != nil {
			return err
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return errSyntax
		}
	}
}

// object reads an object, with member to read each value. A name that is repeated is an error (RFC
// 7493 section 2.3): two readers could take different ones. It is a member of p; nil:
// it is the envelope itself.
func (s *scanner) object(p *part, called string, member func(name string) error) error {
	if !s.take('{') {
		return &placed{p.place(called), errors.New("must be an object")}
	}
	if s.take('}') {
		return nil
	}
	var few [8]string
	names := few[:0]
	var many map[string]bool // above a few, or a hostile object costs its square
	for {
		name, err := s.string()
		if err != nil {
			return err
		}
		repeated := many[name]
		for _, before := range names {
			repeated = repeated || before == name
		}
		if repeated {
			return &placed{p.place(called), fmt.Errorf("member %s is repeated", short(name))}
		}
		if len(names) < cap(few[:]) {
			names = append(names, name)
		} else {
			if many == nil {
				many = make(map[string]bool)
			}
			many[name] = true
		}
		if !s.take(':') {
			return errSyntax
		}
		if err := member(name); err != nil {
			return err
		}
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return errSyntax
		}
	}
}

// short quotes what a client has sent, in bounds.
func short(s string) string {
	const most = 64
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

// place is where a fault is. It is put together only if there is one.
func (p *part) place(member string) string {
	if p == nil {
		return "the envelope"
	}
	place := "requests[" + strconv.Itoa(p.index) + "]"
	if member != "" {
		place += "." + member
	}
	return place
}

// parse reads one element of requests, of which there are at most maxParts.
func (p *part) parse(s *scanner, maxParts int) error {
	var idThere, methodThere, urlThere bool
	text := func(member string, to *string, there *bool) (err error) {
		if s.peek() != '"' {
			return &placed{p.place(member), errors.New("must be a string")}
		}
		*there = true
		*to, err = s.string()
		return err
	}
	if s.peek() != '{' {
		return &placed{p.place(""), errors.New("must be an object")}
	}
	err := s.object(p, "", func(name string) (err error) {
		switch name {
		case "id":
			return text(name, &p.id, &idThere)
		case "method":
			return text(name, &p.method, &methodThere)
		case "url":
			return text(name, &p.url, &urlThere)
		case "headers":
			return p.parseFields(s)
		case "body":
			if p.body, err = s.skip(maxNesting - 3); p.body == "null" {
				p.body = ""
			}
			return err
		case "dependsOn":
			return p.parseNeeds(s, maxParts)
		case "atomicityGroup":
			there := false
			if s.peek() == 'n' {
				_, err = s.skip(0)
				return err
			}
			p.grouped = true
			return text(name, &p.group, &there)
		case "if":
			text, err := s.skip(maxNesting - 3)
			p.conditional = text != "null"
			return err
		}
		_, err = s.skip(maxNesting - 3)
		return err
	})
	switch {
	case err != nil:
		return at(err, p.place(""))
	case !idThere || p.id == "" || len(p.id) > maxID:
		return &placed{p.place("id"), fmt.Errorf("must be a string of 1 to %d bytes", maxID)}
	case !methodThere || p.method == "":
		return &placed{p.place("method"), errors.New("is missing")}
	case !urlThere:
		return &placed{p.place("url"), errors.New("is missing")}
	}
	return nil
}

func (p *part) parseFields(s *scanner) error {
	if s.peek() == 'n' {
		_, err := s.skip(0)
		return err
	}
	if s.peek() != '{' {
		return &placed{p.place("headers"), errors.New("must be an object")}
	}
	p.fields = p.few[:0]
	return s.object(p, "headers", func(name string) error {
		if s.peek() != '"' {
			return &placed{p.place("headers"), fmt.Errorf("the value of %s must be a string", short(name))}
		}
		value, err := s.string()
		p.fields = append(p.fields, line{name, value})
		return err
	})
}

// A need is an id or a group in dependsOn, and where it stood first.
type need struct {
	id string
	at int
}

// parseNeeds reads dependsOn as a set: a mebibyte of repeats, a few hundred bytes on the wire, costs
// no more than to read it.
func (p *part) parseNeeds(s *scanner, maxParts int) error {
	if s.peek() == 'n' {
		_, err := s.skip(0)
		return err
	}
	if !s.take('[') {
		return &placed{p.place("dependsOn"), errors.New("must be an array of ids")}
	}
	if s.take(']') {
		return nil
	}
	var seen map[string]bool
	for n := 0; ; n++ {
		if s.peek() != '"' {
			return &placed{p.place("dependsOn"), errors.New("must be an array of ids")}
		}
		id, err := s.string()
		if err != nil {
			return err
		}
		if !p.needsAlready(id, seen) {
			if len(p.needs) == 2*maxParts { // as many ids and groups there can be
				return &placed{p.place("dependsOn"), errors.New("names more than there can be parts")}
			}
			p.needs = append(p.needs, need{id, n})
			if len(p.needs) > fewNeeds {
				if seen == nil {
					seen = make(map[string]bool)
					for _, before := range p.needs {
						seen[before.id] = true
					}
				}
				seen[id] = true
			}
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return errSyntax
		}
	}
}

// fewNeeds is up to how many ids are searched one by one.
const fewNeeds = 8

func (p *part) needsAlready(id string, seen map[string]bool) bool {
	if seen != nil {
		return seen[id]
	}
	return slices.ContainsFunc(p.needs, func(before need) bool { return before.id == id })
}
