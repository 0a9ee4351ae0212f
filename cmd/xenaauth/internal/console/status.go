package console

// The exit statuses of every command.
const (
	StatusYes     = 0 // the answer is yes: all is good
	StatusNo      = 1 // the answer is no
	StatusUsage   = 2 // the command line, or a file that it names, is wrong
	StatusUnknown = 3 // the answer could not be found out, for example because a server is down
)

// ending is an error with an exit status. An error of a command without one means [StatusUnknown].
type ending struct {
	status int
	err    error
}

func (e *ending) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *ending) Unwrap() error { return e.err }

// No is the error of a command whose answer is no. The answer itself says why.
var No error = &ending{status: StatusNo}

// Usage returns err with [StatusUsage].
func Usage(err error) error { return &ending{StatusUsage, err} }

// Unknown returns err with [StatusUnknown]. A nil err means that the answer itself says why it could
// not be found out.
func Unknown(err error) error { return &ending{StatusUnknown, err} }

// Exit returns the exit status of another program, which was run as a part of the command.
func Exit(status int) error { return &ending{status: status} }
