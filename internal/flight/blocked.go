package flight

import "context"

// TaskKey finds in a context the Task that runs with it.
type TaskKey struct{}

// A Task is a goroutine of a batch scope, which waits until all of its tasks wait.
type Task interface {
	// Blocked says that the task now waits for work of others, until done is called.
	Blocked() (done func())
}

// Blocked tells the task of ctx, if there is one, that this goroutine waits for work of
// others and not for its own. Call done when it goes on. Without a task it costs nothing.
func Blocked(ctx context.Context) (done func()) {
	if t, ok := ctx.Value(TaskKey{}).(Task); ok {
		return t.Blocked()
	}
	return nobody
}

func nobody() {}
