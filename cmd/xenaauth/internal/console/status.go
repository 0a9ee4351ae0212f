package console

// These are the exit statuses of all commands.
const (
	StatusYes   = 0 // StatusYes: the answer is yes, so everything is right
	StatusNo    = 1 // StatusNo: the answer is no, for example because the token is refused
	StatusUsage = 2 // StatusUsage: the command line, or a file that it names, is wrong
	// StatusUnknown: the command could not find the answer, for example because a server is down
	StatusUnknown = 3
)

// An ending is an error that sets the exit status of the command. A command that returns another
// error ends with [StatusUnknown].
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

// No is the error of a command whose answer is no. The output of the command says why.
var No error = &ending{status: StatusNo}

// Usage returns an error with the text of err that ends the command with [StatusUsage].
func Usage(err error) error { return &ending{StatusUsage, err} }

// Unknown returns an error that ends the command with [StatusUnknown]. If err is nil, the output of
// the command already says why the command could not find the answer.
func Unknown(err error) error { return &ending{StatusUnknown, err} }

// Exit returns an error that ends the command with this exit status. Commands use it to pass on the
// status of a program that they ran.
func Exit(status int) error { return &ending{status: status} }
