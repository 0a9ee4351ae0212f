package connectauth_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/connectauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

// TestProcedures requires that Audit reports the procedures of a proto file that no rule matches.
func TestProcedures(t *testing.T) {
	method := func(name string) *descriptorpb.MethodDescriptorProto {
		return &descriptorpb.MethodDescriptorProto{
			Name: proto.String(name), InputType: proto.String(".t.V"), OutputType: proto.String(".t.V"),
		}
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("t.proto"), Package: proto.String("t"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("V")}},
		Service: []*descriptorpb.ServiceDescriptorProto{
			{Name: proto.String("T"), Method: []*descriptorpb.MethodDescriptorProto{method("M"), method("N")}},
			{Name: proto.String("W"), Method: []*descriptorpb.MethodDescriptorProto{method("M")}},
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = table(t,
		routes.Rule{Pattern: "/t.T/M", Access: routes.Require(xenaauth.AnyUser())},
		routes.Rule{Pattern: "/t.T/O", Access: routes.Require(xenaauth.AnyUser())},
		routes.Rule{Pattern: "/t.W/", Access: routes.Public()},
	).Audit(connectauth.Procedures(file)...)
	if err == nil || err.Error() != "routes: no rule matches /t.T/N: each call is refused\n"+
		"routes: rule 2 (/t.T/O) matches no method" {
		t.Errorf("Audit: %v", err)
	}
}
