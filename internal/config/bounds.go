package config

import "fmt"

// maxNesting bounds brackets within brackets: the parser below us recurses.
const maxNesting = 100

// checkNesting refuses text whose brackets, or runs of unary operators, go
// deeper than any configuration needs, wherever they stand.
func checkNesting(s Source) error {
	depth, run, line := 0, 0, 1
	for _, c := range s.Text {
		switch c {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth = max(depth-1, 0)
		case '\n':
			line++
		}
		if c == '-' || c == '!' {
			run++
		} else if c != ' ' && c != '\t' {
			run = 0
		}
		if depth > maxNesting || run > 10*maxNesting {
			return &Error{File: s.Name, Line: line, Column: 1, Summary: fmt.Sprintf("nested deeper than %d levels", maxNesting)}
		}
	}
	return nil
}
