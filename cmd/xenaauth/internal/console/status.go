package console

// These are the exit statuses of all xenaauth commands.
const (
	StatusYes   = 0 // StatusYes: the answer is yes, so everything is right
	StatusNo    = 1 // StatusNo: the answer is no, for example because the token is refused
	StatusUsage = 2 // StatusUsage: the command line, or a file that it names, is wrong
	// StatusUnknown: the command could not find the answer, for example because a server is down
	StatusUnknown = 3
)

// An exitError is an error that says with which exit status the command ends. If a command returns
// an error of another type, its exit status is [StatusUnknown].
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// ErrAnswerNo is the error that a command returns if its answer is "no", for example because a
// token is refused. The error has no text, because the output of the command already says why.
var ErrAnswerNo error = &exitError{status: StatusNo}

// NewUsageError returns an error with the text of err. If a command returns this error, its exit
// status is [StatusUsage].
func NewUsageError(err error) error { return &exitError{StatusUsage, err} }

// NewUnknownError returns an error for a command that could not find the answer. If a command
// returns it, the exit status is [StatusUnknown]. If err is nil, the output of the command already
// says why.
func NewUnknownError(err error) error { return &exitError{StatusUnknown, err} }

// NewExitError returns an error that ends the command with the given exit status. A command that
// runs another program uses it to pass on that program's status.
func NewExitError(status int) error { return &exitError{status: status} }
