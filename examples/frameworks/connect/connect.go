// Package connect: procedures are paths of a ServeMux, which sets the pattern.
package connect

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Shop is a service of one procedure.
func Shop() http.Handler {
	const procedure = "/shop.v1.Items/Get"
	mux := http.NewServeMux()
	mux.Handle(procedure, connect.NewUnaryHandler(procedure,
		func(_ context.Context, r *connect.Request[wrapperspb.StringValue]) (*connect.Response[wrapperspb.StringValue], error) {
			switch r.Msg.GetValue() {
			case "secret":
				return nil, connect.NewError(connect.CodePermissionDenied, errors.New("forbidden"))
			case "broken":
				panic("boom")
			}
			return connect.NewResponse(wrapperspb.String("item " + r.Msg.GetValue())), nil
		}))
	return mux
}
