package partial_test

import (
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/hotpath-go/hotpath/partial"
)

// A document that ends where memory ends is not read beyond: parsers that load words have done so.
func TestB7_UnreadablePage(t *testing.T) {
	size := os.Getpagesize()
	mem, err := syscall.Mmap(-1, 0, 2*size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Munmap(mem) }()
	if err := syscall.Mprotect(mem[size:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	doc := `{"a":{"b":1,"a_name_that_is_long":"and a text that is longer than sixteen bytes","c":[1,{"d":"\\\""}]},"next":true}` + "\n"
	for _, text := range []string{"a/b", "next", "*/c", "nothing", "a(b,c/d)"} {
		m := partial.MustParse(text)
		for n := range len(doc) + 1 {
			at := mem[size-n : size : size]
			copy(at, doc[:n])
			got, err := m.Append(nil, at)
			want, wantErr := m.Append(nil, []byte(strings.Clone(doc[:n])))
			if string(got) != string(want) || (err == nil) != (wantErr == nil) {
				t.Errorf("%s of %d bytes: %s, %v; elsewhere %s, %v", text, n, got, err, want, wantErr)
			}
		}
	}
}
