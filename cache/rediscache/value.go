package rediscache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/cache"
)

// What a value is of besides its bytes: written once, read as it is.
const headerSize = 1 + 3*8

func header[V any](s cache.Shared[V]) []byte {
	h := make([]byte, 0, headerSize)
	if s.Missing {
		h = append(h, 1)
	} else {
		h = append(h, 0)
	}
	for _, d := range []time.Duration{s.TTL, s.Linger, s.Cost} {
		h = binary.BigEndian.AppendUint64(h, uint64(d))
	}
	return h
}

// fill is the call that stores s; token "": of a Put.
func (t *Tier[K, V]) fill(text, token, born string, s cache.Shared[V]) (call, error) {
	var body []byte
	if !s.Missing {
		var err error
		if body, err = t.cfg.Encode(s.Value); err != nil {
			return call{}, fmt.Errorf("rediscache: Encode: %w", err)
		}
		if len(body) > t.cfg.MaxValueBytes {
			return call{}, fmt.Errorf("rediscache: a value of %d bytes is not shared: MaxValueBytes is %d", len(body), t.cfg.MaxValueBytes)
		}
	}
	fresh, keep := "-1", "-1"
	if s.TTL >= 0 {
		fresh = strconv.FormatInt(max(s.TTL.Microseconds(), 1), 10)
		keep = strconv.FormatInt((s.TTL + s.Linger + time.Millisecond - 1).Milliseconds(), 10)
	}
	keys := []string{t.valueKey(text), t.leaseKey(text), t.base + "s", t.base + "t:"}
	args := []string{t.base + "t:", token, born, fresh, keep, rueidis.BinaryString(header(s)), rueidis.BinaryString(body), ""}
	for _, tag := range s.Tags {
		if tag != "" {
			keys, args = append(keys, t.base+"t:"+tag), append(args, tag)
		}
	}
	return call{setScript, keys, args}, nil
}

// shared reads what getScript returned.
func (t *Tier[K, V]) shared(reply []rueidis.RedisMessage) (s cache.Shared[V], err error) {
	age, _ := reply[1].AsInt64()
	h, _ := reply[2].ToString()
	body, _ := reply[3].AsBytes()
	tags, _ := reply[4].AsStrSlice()
	if len(h) != headerSize {
		return s, errors.New("rediscache: a header of another length")
	}
	number := func(i int) time.Duration {
		return time.Duration(binary.BigEndian.Uint64([]byte(h[1+8*i:])))
	}
	s = cache.Shared[V]{Missing: h[0] == 1, Age: time.Duration(age) * time.Microsecond, TTL: number(0), Linger: number(1), Cost: number(2)}
	if len(tags) > 1 {
		s.Tags = tags[1:] // the first is that of everything
	}
	if !s.Missing {
		s.Value, err = t.decode(body)
	}
	return s, err
}

// decode is Decode, which meets what others have written, and may panic.
func (t *Tier[K, V]) decode(body []byte) (v V, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("rediscache: Decode panicked: %v", p)
		}
	}()
	return t.cfg.Decode(body)
}

// unreadable counts a value that cannot be read, and logs the first.
func (t *Tier[K, V]) unreadable(err error) {
	if t.counters.unreadable.Add(1) == 1 {
		t.cfg.Logger.Warn("rediscache: a value cannot be read, so it is loaded: has its encoding changed without Version?", "prefix", t.cfg.Prefix, "error", err)
	}
}

func (t *Tier[K, V]) valueKey(text string) string { return t.base + "v:" + t.cfg.Version + ":" + text }

func (t *Tier[K, V]) leaseKey(text string) string { return t.base + "l:" + t.cfg.Version + ":" + text }
