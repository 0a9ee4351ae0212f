package main

import (
	"bytes"
	"os"
	"testing"
)

// The file xenaauth.json must have exactly the content that the command dashboard writes.
func TestFileIsGenerated(t *testing.T) {
	want, err := renderFile()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(fileName)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the program writes: run go generate in this folder", fileName)
	}
}
