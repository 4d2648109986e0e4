// Command grafana writes hotpath.json, a Grafana dashboard of everything that hotpath counts.
//
//	go run -C examples ./grafana > examples/grafana/hotpath.json
//
// A dashboard is a table of panels (dashboard.go); that every one of them has a unit, a description, the
// same variables and both forms of each histogram query is then true by construction.
package main

import (
	"fmt"
	"log"
)

func main() {
	b, err := dashboard()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", b)
}
