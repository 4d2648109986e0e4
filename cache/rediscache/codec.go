package rediscache

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
)

func encode[V any](v V) ([]byte, error) {
	switch v := any(v).(type) {
	case []byte:
		return v, nil
	case string:
		return []byte(v), nil
	}
	return json.Marshal(v)
}

func decode[V any](text []byte) (v V, err error) {
	switch v := any(&v).(type) {
	case *[]byte:
		*v = append([]byte{}, text...)
	case *string:
		*v = string(text)
	default:
		err = json.Unmarshal(text, v)
	}
	return v, err
}

// keyText is a key as it stands in Redis: strings and integers as they are, all else as JSON.
func keyText[K comparable](key K) (string, error) {
	if zero := *new(K); key == zero {
		key = zero // -0 is 0
	}
	v := reflect.ValueOf(&key).Elem()
	switch {
	case v.Kind() == reflect.String:
		return v.String(), nil
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10), nil
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10), nil
	}
	text, err := json.Marshal(key)
	if err != nil {
		return "", fmt.Errorf("rediscache: a key of type %T: %w", key, err)
	}
	if back, err := textKey[K](string(text)); err != nil || back != key {
		return "", fmt.Errorf("rediscache: a key of type %T is not the same after encoding/json", key)
	}
	return string(text), nil
}

func textKey[K comparable](text string) (key K, err error) {
	v := reflect.ValueOf(&key).Elem()
	switch {
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.CanInt():
		var n int64
		n, err = strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(n)
	case v.CanUint():
		var n uint64
		n, err = strconv.ParseUint(text, 10, v.Type().Bits())
		v.SetUint(n)
	default:
		err = json.Unmarshal([]byte(text), &key)
	}
	return key, err
}
