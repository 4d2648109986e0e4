package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hotpath-go/hotpath/batch"
)

// batched is s.encoded, but products that are asked for at a time are two queries for all of them.
// It stands behind a cache: what was asked for before a write must not be remembered after it.
func batched(s *Store) (getPage, *batch.Loader[int, []byte]) {
	products := must(batch.NewLoader(batch.LoaderConfig[int, []byte]{
		MaxMemo: -1,
		MaxWait: 100 * time.Millisecond, // on a busy machine parts that are about to ask take longer than the usual 2 ms
		Fetch: func(ctx context.Context, ids []int) (map[int][]byte, error) {
			wanted := make([]Item, len(ids))
			for i, id := range ids {
				wanted[i].ID = id
			}
			return s.encodedProducts(ctx, wanted)
		},
	}))
	return func(ctx context.Context, key pageKey) ([]byte, error) {
		if key.kind == productPage {
			return products.Load(ctx, key.id)
		}
		return s.encoded(ctx, key)
	}, products
}

// A homeForm is how a client asks for a home screen.
type homeForm uint8

const (
	oneByOne  homeForm = iota // ten requests
	listOfIDs                 // one, of the hand-written endpoint of Peers
	envelope                  // one, of package batch
)

// homeFormOf returns what a variant understands.
func homeFormOf(name string, on Switches) homeForm {
	switch {
	case name == "peers":
		return listOfIDs
	case isAfter(name) && on.Has("batch"):
		return envelope
	}
	return oneByOne
}

func isAfter(name string) bool { return name == "after" || name == ristrettoName || name == redisName }

// homeRequest is one request for many products.
func homeRequest(ids []string, form homeForm) Request {
	if form == listOfIDs {
		return Request{http.MethodPost, "/batch", strings.Join(ids, ","), http.StatusOK}
	}
	type part struct {
		ID     string `json:"id"`
		Method string `json:"method"`
		URL    string `json:"url"`
	}
	var in struct {
		Requests []part `json:"requests"`
	}
	for _, id := range ids {
		in.Requests = append(in.Requests, part{id, http.MethodGet, onPhone("/products/" + id)})
	}
	body := must(json.Marshal(in))
	return Request{http.MethodPost, "/batch", string(body), http.StatusOK}
}

// idsOf returns the products that a home request asks for.
func (r Request) idsOf() []string {
	if !strings.HasPrefix(r.Body, "{") {
		return strings.Split(r.Body, ",")
	}
	var in struct{ Requests []struct{ ID string } }
	if err := json.Unmarshal([]byte(r.Body), &in); err != nil {
		return nil
	}
	ids := make([]string, len(in.Requests))
	for i, p := range in.Requests {
		ids[i] = p.ID
	}
	return ids
}

// parts takes the answer to a batch of either form apart.
func parts(body []byte) (bodies [][]byte, err error) {
	var list []json.RawMessage
	if !strings.HasPrefix(string(body), "{") {
		err = json.Unmarshal(body, &list)
	} else {
		var out struct {
			Responses []struct {
				ID     string
				Status int
				Body   json.RawMessage
			}
		}
		err = json.Unmarshal(body, &out)
		for _, p := range out.Responses {
			if p.Status != http.StatusOK {
				return nil, fmt.Errorf("part %s: status %d: %.200s", p.ID, p.Status, p.Body)
			}
			list = append(list, p.Body)
		}
	}
	for _, part := range list {
		bodies = append(bodies, part)
	}
	return bodies, err
}
