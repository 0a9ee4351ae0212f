package envvar

// supportedNames contains the names of the environment variables that the optional packages of this
// program read. It contains no name of an optional package that the program does not import.
var supportedNames = make(map[string]bool)

// Support records that this program contains an optional package that reads the environment
// variable with the given name. The optional package calls Support in an init function.
func Support(name string) { supportedNames[name] = true }

// CheckSupported checks an environment variable that only an optional package reads, for example
// XENA_DPOP. If the variable is not set or has the value offValue, the program does not need the
// optional package. Any other value is an error if the program does not contain the package:
// CheckSupported adds this error to the result of Err. The text missingPart is a part of the error
// and says what the program lacks.
func (r *Reader) CheckSupported(name, offValue, missingPart string) {
	if value := r.Text(name); value != "" && value != offValue && !supportedNames[name] {
		r.Wrong(name, "is set, but has no effect: %s", missingPart)
	}
}
