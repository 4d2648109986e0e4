package bench

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/api/drive/v3"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/hotpath-go/hotpath/partial"
)

// Google's own client, whose .Fields says what this language says, against a service that answers as
// Drive does.
func TestPartial_DriveClient(t *testing.T) {
	// Drive's types marshal themselves, so For knows nothing of their fields.
	allow := partial.MustParse("kind,nextPageToken,files(id,name,mimeType,size,owners(displayName,emailAddress))")
	f, err := partial.New(partial.Config{Allow: allow})
	if err != nil {
		t.Fatal(err)
	}
	var sent int
	files := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/files") {
			http.NotFound(w, r)
			return
		}
		list := &drive.FileList{Kind: "drive#fileList", NextPageToken: "more"}
		for i := range 3 {
			list.Files = append(list.Files, &drive.File{
				Id: fmt.Sprint("id", i), Name: fmt.Sprint("file ", i), MimeType: "text/plain", Size: 100, Owners: []*drive.User{{DisplayName: "Ada", EmailAddress: "ada@example.com"}},
			})
		}
		if err := f.WriteJSON(w, r, http.StatusOK, list); err != nil {
			t.Error(err)
		}
	})
	cut := f.Handler(files)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		cut.ServeHTTP(rec, r)
		sent = rec.Body.Len()
		for name, lines := range rec.Header() {
			w.Header()[name] = lines
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	}))
	defer srv.Close()
	service, err := drive.NewService(t.Context(), option.WithEndpoint(srv.URL), option.WithoutAuthentication(), option.WithHTTPClient(srv.Client()))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := service.Files.List().Do()
	if err != nil || len(whole.Files) != 3 || whole.Files[0].MimeType == "" {
		t.Fatalf("without fields: %+v, %v", whole, err)
	}
	all := sent
	for _, fields := range [][]googleapi.Field{{"nextPageToken, files(id, name)"}, {"nextPageToken", "files/id,files/name"}, {"files(id,name)", "nextPageToken"}} {
		some, err := service.Files.List().Fields(fields...).Do()
		if err != nil {
			t.Errorf("%q: %v", fields, err)
			continue
		}
		if some.NextPageToken != "more" || some.Kind != "" || len(some.Files) != 3 || some.Files[2].Id != "id2" || some.Files[2].Name != "file 2" || some.Files[2].MimeType != "" || some.Files[2].Owners != nil {
			t.Errorf("%q: %+v", fields, some)
		}
		if sent >= all/2 {
			t.Errorf("%q: %d bytes of %d", fields, sent, all)
		}
	}
	some, err := service.Files.List().Fields("files/owners/displayName").Do()
	if err != nil || some.NextPageToken != "" || some.Files[0].Owners[0].DisplayName != "Ada" || some.Files[0].Owners[0].EmailAddress != "" {
		t.Errorf("owners: %+v, %v", some, err)
	}
	_, err = service.Files.List().Fields("files(id,nmae)").Do()
	if e, ok := err.(*googleapi.Error); !ok || e.Code != http.StatusBadRequest || !strings.Contains(e.Body, `"suggestion":"name"`) {
		t.Errorf("a wrong name: %v", err)
	}
}
