package navidrome

import (
	"encoding/json"
	"encoding/xml"
	"maps"
	"net/http"
)

// succeed answers with status ok and content, whose keys are those of the JSON. XML
// has no content.
func succeed(w http.ResponseWriter, r *http.Request, content map[string]any) {
	reply(w, r, "ok", content)
}

// fail answers with a Subsonic error, which has HTTP status 200.
func fail(w http.ResponseWriter, r *http.Request, code int, message string) {
	reply(w, r, "failed", map[string]any{"error": failure{Code: code, Message: message}})
}

type failure struct {
	Code    int    `json:"code" xml:"code,attr"`
	Message string `json:"message" xml:"message,attr"`
}

type document struct {
	XMLName xml.Name `xml:"http://subsonic.org/restapi subsonic-response"`
	Status  string   `xml:"status,attr"`
	Version string   `xml:"version,attr"`
	Error   *failure `xml:"error"`
}

func reply(w http.ResponseWriter, r *http.Request, status string, content map[string]any) {
	const version = "1.16.1"
	if r.Form.Get("f") == "json" {
		body := map[string]any{"status": status, "version": version, "type": "navidrome", "serverVersion": "0.58.5", "openSubsonic": true}
		maps.Copy(body, content)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"subsonic-response": body})
		return
	}
	body := document{Status: status, Version: version}
	if failed, ok := content["error"].(failure); ok {
		body.Error = &failed
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(body)
}
