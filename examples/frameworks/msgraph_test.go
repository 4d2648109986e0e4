package frameworks

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/microsoft/kiota-abstractions-go"
	"github.com/microsoft/kiota-abstractions-go/authentication"
	"github.com/microsoft/kiota-abstractions-go/serialization"
	kiotajson "github.com/microsoft/kiota-serialization-json-go"
	msgraph "github.com/microsoftgraph/msgraph-sdk-go-core"

	"github.com/hotpath-go/hotpath/batch"
)

var registered sync.Once

// Microsoft's client for Go sends its batches with gzip, and what a part depends on as it stands in
// the text of the protocol.
func TestBatch_MicrosoftGraph(t *testing.T) {
	var made, zipped, envelopes atomic.Int32
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("POST /v1.0/users", func(w http.ResponseWriter, r *http.Request) {
		var in map[string]any
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in["displayName"] != "ä" {
			reply(w, http.StatusBadRequest, map[string]any{"in": in})
			return
		}
		made.Add(1)
		reply(w, http.StatusCreated, map[string]any{"id": "7"})
	})
	mux.HandleFunc("GET /v1.0/users/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "7" && made.Load() == 0 { // it runs behind the part that makes the user
			reply(w, http.StatusNotFound, map[string]any{})
			return
		}
		reply(w, http.StatusOK, map[string]any{"id": r.PathValue("id"), "select": r.URL.Query().Get("$select")})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { // the client reads no bodies but JSON objects
		reply(w, http.StatusNotFound, map[string]any{"error": map[string]any{"code": "ResourceNotFound"}})
	})
	endpoint, err := batch.New(batch.Config{Path: "/v1.0/$batch"})
	if err != nil {
		t.Fatal(err)
	}
	h := endpoint.Handler(mux)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		envelopes.Add(1)
		if r.Header.Get("Content-Encoding") == "gzip" {
			zipped.Add(1)
		}
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()

	registered.Do(func() { // the client has them for all of a process
		abstractions.RegisterDefaultSerializer(func() serialization.SerializationWriterFactory { return kiotajson.NewJsonSerializationWriterFactory() })
		abstractions.RegisterDefaultDeserializer(func() serialization.ParseNodeFactory { return kiotajson.NewJsonParseNodeFactory() })
	})
	adapter, err := msgraph.NewGraphRequestAdapterBase(&authentication.AnonymousAuthenticationProvider{}, msgraph.GraphClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	adapter.SetBaseUrl(srv.URL + "/v1.0")
	request := func(method abstractions.HttpMethod, path, body string) abstractions.RequestInformation {
		r := abstractions.NewRequestInformation()
		r.Method, r.UrlTemplate = method, "{+baseurl}"+path
		if body != "" {
			r.SetStreamContentAndContentType([]byte(body), "application/json")
		}
		return *r
	}
	step := func(b interface {
		AddBatchRequestStep(abstractions.RequestInformation) (msgraph.BatchItem, error)
	}, r abstractions.RequestInformation,
	) msgraph.BatchItem {
		t.Helper()
		item, err := b.AddBatchRequestStep(r)
		if err != nil {
			t.Fatal(err)
		}
		return item
	}

	b := msgraph.NewBatchRequest(adapter)
	create := step(b, request(abstractions.POST, "/users", `{"displayName":"ä"}`))
	read := step(b, request(abstractions.GET, "/users/7?$select=id", ""))
	read.DependsOnItem(create)
	missing := step(b, request(abstractions.GET, "/groups/1", ""))
	behind := step(b, request(abstractions.GET, "/users/8", ""))
	behind.DependsOnItem(missing)
	got, err := b.Send(t.Context(), adapter)
	if err != nil {
		t.Fatal(err)
	}
	for item, want := range map[msgraph.BatchItem]int32{create: 201, read: 200, missing: 404, behind: 424} {
		if status := got.GetStatusCodes()[*item.GetId()]; status != want {
			t.Errorf("%s %s: %d, want %d", *item.GetMethod(), *item.GetUrl(), status, want)
		}
	}
	user, err := msgraph.GetBatchResponseById[*user](got, *read.GetId(), func(serialization.ParseNode) (serialization.Parsable, error) { return &user{}, nil })
	if err != nil || user.id != "7" || user.selected != "id" {
		t.Errorf("%+v, %v", user, err)
	}

	// More than 20 are sent as several batches.
	all := msgraph.NewBatchRequestCollection(adapter)
	var items []msgraph.BatchItem
	for i := range 45 {
		items = append(items, step(all, request(abstractions.GET, fmt.Sprintf("/users/%d", 100+i), "")))
	}
	many, err := all.Send(t.Context(), adapter)
	if err != nil {
		t.Fatal(err)
	}
	for i, item := range items {
		if a := many.GetResponseById(*item.GetId()); a == nil || *a.GetStatus() != 200 {
			t.Errorf("part %d: %v", i, a)
		}
	}
	if envelopes.Load() != 4 || zipped.Load() != 4 {
		t.Errorf("%d batches, %d of them with gzip, want 4 of each", envelopes.Load(), zipped.Load())
	}
}

// A user is how the client reads one.
type user struct{ id, selected string }

func (u *user) Serialize(serialization.SerializationWriter) error { return io.ErrUnexpectedEOF }

func (u *user) GetFieldDeserializers() map[string]func(serialization.ParseNode) error {
	text := func(into *string) func(serialization.ParseNode) error {
		return func(n serialization.ParseNode) error {
			s, err := n.GetStringValue()
			if s != nil {
				*into = *s
			}
			return err
		}
	}
	return map[string]func(serialization.ParseNode) error{"id": text(&u.id), "select": text(&u.selected)}
}
