package envvar

// supportedNames contains the names of the environment variables that the optional packages of this
// program read. It contains no name of an optional package that the program does not import.
var supportedNames = make(map[string]bool)

// Support records that this program contains an optional package that reads the environment
// variable with the given name. The optional package calls Support in an init function.
func Support(name string) { supportedNames[name] = true }

// CheckSupported checks an environment variable that only an optional package reads. The variable
// may have the value in the parameter off: then the program does not need the optional package. If
// the variable has another value, and the program does not contain the optional package,
// CheckSupported adds an error to the result of Err. The parameter missing says what the program
// lacks.
func (r *Reader) CheckSupported(name, off, missing string) {
	if value := r.Text(name); value != "" && value != off && !supportedNames[name] {
		r.Wrong(name, "is set, but has no effect: %s", missing)
	}
}
