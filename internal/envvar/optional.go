package envvar

// supported contains the names of environment variables that optional packages read. It contains
// only those of the optional packages that are part of this program.
var supported = make(map[string]bool)

// Support records that an optional package of this program reads the environment variable name. The
// package calls Support in an init function.
func Support(name string) { supported[name] = true }

// CheckSupported adds an error if the environment variable name has a value other than off, but no
// package of this program reads the variable. missing says what the program lacks.
func (r *Reader) CheckSupported(name, off, missing string) {
	if value := r.Text(name); value != "" && value != off && !supported[name] {
		r.Wrong(name, "is set, but has no effect: %s", missing)
	}
}
