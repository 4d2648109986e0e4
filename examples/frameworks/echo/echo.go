// Package echo: echo sets the pattern itself, and its error handler has made a status of a returned error
// by the time that metrics.HTTP looks.
package echo

import (
	"net/http"

	"github.com/labstack/echo/v5"
)

// Shop is a service on echo.
func Shop() http.Handler {
	e := echo.New()
	e.GET("/items/:id", func(c *echo.Context) error {
		switch c.Param("id") {
		case "secret":
			return echo.NewHTTPError(http.StatusForbidden, "forbidden")
		case "broken":
			panic("boom")
		}
		return c.NoContent(http.StatusOK)
	})
	return e
}
