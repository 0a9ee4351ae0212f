// Command dashboard writes xenaauth.json, a dashboard for Grafana that shows the metrics of
// promauth. Run go generate in its folder after a change of rows.go.
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"os"
)

//go:generate go run .

// fileName is the file that the command writes and that Grafana imports.
const fileName = "xenaauth.json"

func main() {
	text, err := renderFile()
	if err == nil {
		err = os.WriteFile(fileName, text, 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// renderFile returns the content of the file: the dashboard in JSON.
func renderFile() ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(newDashboard(rows))
	return text.Bytes(), err
}
