package config

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
)

// JoinMistakes joins errors about mistakes in the configuration, in the order of their lines in the
// configuration file. Mistakes on the same line keep their order. The errors without a line of this
// file are the last ones, and also keep their order. If an element of errs joins several errors,
// JoinMistakes sorts each of them. It returns nil if errs contains no error.
func (c *Config) JoinMistakes(errs ...error) error {
	mistakes := splitErrors(errs)
	slices.SortStableFunc(mistakes, func(a, b error) int {
		return cmp.Compare(c.source.lineOfMistake(a), c.source.lineOfMistake(b))
	})
	return errors.Join(mistakes...)
}

// splitErrors returns errs without nil. In place of an error that joins several errors, the result
// contains each of them.
func splitErrors(errs []error) (mistakes []error) {
	for _, err := range errs {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			mistakes = append(mistakes, splitErrors(joined.Unwrap())...)
		} else if err != nil {
			mistakes = append(mistakes, err)
		}
	}
	return mistakes
}

// sourceFile.lineOfMistake returns the line number in the text of an error. Such a text begins with
// the name of the configuration file and the line number, for example "gate.yaml:9:". If it does
// not, lineOfMistake returns the largest int.
func (s *sourceFile) lineOfMistake(err error) int {
	text, inFile := strings.CutPrefix(err.Error(), s.name()+":")
	number, _, _ := strings.Cut(text, ":")
	line, errNumber := strconv.Atoi(number)
	if !inFile || errNumber != nil {
		return math.MaxInt
	}
	return line
}
