// Package walkthrough tests the pages of examples/walkthrough in Debian's Chromium.
//
// The tests start the program and click through its pages. They check the accessibility of each
// page with axe-core. This program finds mistakes that make a page hard to use for some people:
// missing names, wrong roles, weak contrast. A test fails if a page writes to the console, violates
// its Content-Security-Policy, or requests something from another machine.
package walkthrough
