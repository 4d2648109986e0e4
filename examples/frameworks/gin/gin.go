// Package gin: gin knows its template, and one middleware sets it. It is the first of all, for those
// behind it may replace the request.
package gin

import (
	"io"
	"net/http"

	"github.com/gin-gonic/gin"
)

func pattern(c *gin.Context) {
	r := c.Request
	defer func() { r.Pattern = c.FullPath() }() // also of a handler that panics
	c.Next()
}

// Shop is a service on gin.
func Shop() http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.Use(pattern)
	e.GET("/items/:id", func(c *gin.Context) {
		switch c.Param("id") {
		case "secret":
			_ = c.AbortWithError(http.StatusForbidden, http.ErrNoLocation)
		case "broken":
			panic("boom")
		}
	})
	e.GET("/events", func(c *gin.Context) {
		n := 0
		c.Stream(func(w io.Writer) bool {
			n++
			c.SSEvent("tick", n)
			return n < 3
		})
	})
	return e
}
