package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// canPublish finds before the run what would else be found after it.
func canPublish(o Options) error {
	if o.readme != "" {
		text, err := os.ReadFile(o.readme)
		if err != nil {
			return err
		}
		if _, _, err := aroundMarkers(o.readme, string(text)); err != nil {
			return err
		}
	}
	if o.dir == "" {
		return nil
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(o.dir, ".writable-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// publish prints and writes the report, and says whether the run failed.
func (d *drive) publish(stdout io.Writer) error {
	r, o := d.report, d.o
	if o.json {
		if err := writeJSON(stdout, r); err != nil {
			return err
		}
	} else if _, err := fmt.Fprint(stdout, r.Text()); err != nil {
		return err
	}
	if o.dir != "" {
		dir, err := r.Write(o.dir)
		if err != nil {
			return err
		}
		if !o.json {
			fmt.Fprintf(stdout, "report    %s  report.json  report.svg\n", filepath.Join(dir, "report.md"))
		}
	}
	if len(r.Checks.Failed) > 0 {
		return errors.New(strings.Join(r.Checks.Failed, "; "))
	}
	if o.readme != "" { // figures of a run that failed are no figures
		if err := r.UpdateReadme(o.readme); err != nil {
			return err
		}
	}
	if o.strict && slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return v.Result == missed }) {
		return errors.New("a goal was missed")
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
