package envvar

// supported contains the names of variables. Each of them is read by an optional package that is a
// part of this program.
var supported = make(map[string]bool)

// Support records that an optional package of this program reads the variable name. The package
// calls Support in an init function.
func Support(name string) { supported[name] = true }

// CheckSupported adds an error if the variable name is set to a value other than off, but no
// package of this program reads the variable. missing says what the program lacks.
func (r *Reader) CheckSupported(name, off, missing string) {
	if value := r.Text(name); value != "" && value != off && !supported[name] {
		r.Wrong(name, "is set, but has no effect: %s", missing)
	}
}
