package gqlgen

import (
	"context"
	"reflect"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/hotpath-go/hotpath/batch"
)

// Tasks makes the resolvers of a query tasks of a scope: srv.Use(&Tasks{}). gqlgen runs them in
// goroutines that a scope does not know of, so that a batch leaves when the first of fifty resolvers
// waits. With Tasks it leaves when the last one does: a resolver counts as running until all fields
// below its result have come, and those that are resolvers run as tasks of their own.
//
// The fields below interfaces and unions are not counted: their batches may leave earlier. Fields that
// gqlgen keeps back, with worker_limit or @defer, are waited for, but not longer than MaxWait of the
// Loader. Where a machine is so busy that resolvers take 2 ms to come, a longer one costs nothing: it is
// not a window. Mutations and subscriptions get no scope: nothing is remembered over a write.
type Tasks struct{ schema *ast.Schema }

// ExtensionName is for gqlgen.
func (t *Tasks) ExtensionName() string { return "BatchTasks" }

// Validate is for gqlgen.
func (t *Tasks) Validate(s graphql.ExecutableSchema) error {
	t.schema = s.Schema()
	return nil
}

// InterceptOperation opens the scope of a query.
func (t *Tasks) InterceptOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	query := graphql.GetOperationContext(ctx).Operation
	if query.Operation != ast.Query {
		return next(ctx)
	}
	ctx = batch.WithScope(ctx)
	root := newTask(ctx, t.fields(ctx, query.SelectionSet, t.schema.Query))
	go func(scope context.Context) { // who opened it asks for nothing but the fields
		<-root.complete.Done()
		_ = batch.Wait(scope)
	}(ctx)
	return next(context.WithValue(ctx, taskKey{}, root))
}

// InterceptField runs a resolver as a task, whose context gqlgen hands to the fields below.
func (t *Tasks) InterceptField(ctx context.Context, next graphql.Resolver) (res any, err error) {
	running, _ := ctx.Value(taskKey{}).(*task)
	if running == nil {
		return next(ctx)
	}
	field := graphql.GetFieldContext(ctx).Field
	if graphql.GetFieldContext(ctx).IsResolver {
		above := running
		ctx, running = begin(ctx)
		above.expect(-1) // only now, or nobody would run in between
	}
	below := 0
	defer func() { running.expect(below - 1) }() // also of a resolver that panics, which gqlgen recovers
	if res, err = next(ctx); err == nil {
		if def := t.schema.Types[field.Definition.Type.Name()]; def.Kind == ast.Object {
			below = objects(reflect.ValueOf(res)) * t.fields(ctx, field.Selections, def)
		}
	}
	return res, err
}

// fields counts what gqlgen is going to resolve of an object.
func (t *Tasks) fields(ctx context.Context, selected ast.SelectionSet, of *ast.Definition) (n int) {
	types := []string{of.Name}
	for _, d := range t.schema.GetImplements(of) {
		types = append(types, d.Name)
	}
	for _, f := range graphql.CollectFields(graphql.GetOperationContext(ctx), selected, types) {
		if f.Name != "__typename" {
			n++
		}
	}
	return n
}

// objects counts those in a result, which may be one, none, or a list.
func objects(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.Invalid:
		return 0
	case reflect.Pointer, reflect.Interface:
		return objects(v.Elem()) // of nil: Invalid
	case reflect.Slice:
		for i := range v.Len() {
			n += objects(v.Index(i))
		}
		return n
	case reflect.Map:
		if v.IsNil() {
			return 0
		}
	}
	return 1
}

type taskKey struct{}

// A task counts as running until nothing is expected of it.
type task struct {
	expected atomic.Int64
	complete context.Context
	end      context.CancelFunc
}

func newTask(ctx context.Context, expected int) *task {
	t := new(task)
	t.expected.Store(int64(expected))
	t.complete, t.end = context.WithCancel(ctx) // a query that ends early completes it, too
	return t
}

// begin starts a task that expects its own result.
func begin(ctx context.Context) (context.Context, *task) {
	t, started := newTask(ctx, 1), make(chan context.Context)
	batch.Go(ctx, func(ctx context.Context) error {
		started <- ctx
		<-t.complete.Done()
		return nil
	})
	return context.WithValue(<-started, taskKey{}, t), t
}

func (t *task) expect(n int) {
	if t.expected.Add(int64(n)) == 0 {
		t.end()
	}
}
