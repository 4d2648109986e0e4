package cache_test

import (
	"testing"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/storetest"
)

func TestNewStore_Contract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) cache.Store[string, []byte] {
		s, err := cache.NewStore[string, []byte](storetest.MaxBytes, 0)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
