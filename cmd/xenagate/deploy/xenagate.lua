-- Asks xenagate about each request, for HAProxy 2.6 and newer. haproxy.cfg beside this file shows how it is used.

local url = "http://127.0.0.1:9090/verify"
local timeout = 2000 -- ms; HAProxy asks up to four times, and xenagate goes on asking the issuer meanwhile

-- The identity fields: what the service gets. The client's are removed first.
local identity = { "x-auth-user", "x-auth-client", "x-auth-scopes", "x-auth-issuer" }

-- Fields of the client's that xenagate looks at.
local shown = {
	["authorization"] = true,
	["dpop"] = true,
	["x-http-method-override"] = true,
	["x-http-method"] = true,
	["x-method-override"] = true,
}

-- Fields that services take an address, a host, a path or a certificate from: names, and how names begin. haproxy.cfg
-- sets those that are true.
local misleading = {
	["forwarded"] = true,
	["x-real-ip"] = true,
	["x-client-ip"] = true,
	["x-cluster-client-ip"] = true,
	["x-proxyuser-ip"] = true,
	["true-client-ip"] = true,
	["x-host"] = true,
	["x-http-host-override"] = true,
	["proxy"] = true,
}
local beginnings = { "x-forwarded", "x-original-", "x-rewrite-", "x-envoy-", "client-cert", "x-ssl-client-" }

-- What the client gets of a refusal.
local relayed = { "www-authenticate", "dpop-nonce", "retry-after", "cache-control", "vary", "content-type", "x-content-type-options" }
local refusals = { [400] = true, [401] = true, [403] = true, [503] = true }

local ours = {}
for _, name in ipairs(identity) do
	ours[name] = true
end

-- unwanted tells whether a field of this name may not come from a client. Many services take X_Auth_User, X.Auth.User or
-- Transfer_Encoding for the name with "-", so no name passes that has another sign than letters, digits and "-".
local function unwanted(name)
	name = name:lower()
	if name:find("[^a-z0-9-]") or ours[name] or misleading[name] then
		return true
	end
	for _, start in ipairs(beginnings) do
		if name:sub(1, #start) == start then
			return true
		end
	end
	return false
end

-- list makes a plain list of the values of a field, which HAProxy numbers from 0.
local function list(values)
	local out = {}
	local i = 0
	while values ~= nil and values[i] ~= nil do
		out[#out + 1] = values[i]
		i = i + 1
	end
	return out
end

-- strip removes all unwanted fields. It also removes a Connection that names one, by which the next hop would drop what
-- we set.
local function strip(txn)
	for name, values in pairs(txn.http:req_get_headers()) do
		if unwanted(name) then
			txn.http:req_del_header(name)
		elseif name:lower() == "connection" then
			for _, value in ipairs(list(values)) do
				for option in value:gmatch("[^,%s]+") do
					if unwanted(option) then
						txn.http:req_del_header(name)
					end
				end
			end
		end
	end
end

local function refuse(txn, status, headers, body)
	local reply = txn:reply({ status = status })
	for name, values in pairs(headers) do
		for _, value in ipairs(values) do
			reply:add_header(name, value)
		end
	end
	reply:set_body(body)
	txn:done(reply)
end

local function outage(txn)
	refuse(txn, 503, { ["retry-after"] = { "1" }, ["cache-control"] = { "no-store" } }, "")
end

-- ask returns the answer, or nil if there is none.
local function ask(txn)
	local sent = txn.http:req_get_headers()
	local headers = {
		["x-original-method"] = { txn.sf:method() },
		["x-original-host"] = list(sent["host"]),
		["x-original-uri"] = { txn.sf:url() },
	}
	for name, values in pairs(sent) do
		if shown[name:lower()] then
			headers[name:lower()] = list(values)
		end
	end
	local certificate = txn:get_var("txn.certificate")
	if certificate ~= nil and certificate ~= "" then
		headers["x-ssl-client-der"] = { certificate }
	end
	local ok, answer = pcall(function()
		return core.httpclient():get({ url = url, headers = headers, timeout = timeout })
	end)
	if ok then
		return answer
	end
	return nil
end

core.register_action("xenagate", { "http-req" }, function(txn)
	strip(txn)
	local answer = ask(txn)
	if answer ~= nil and answer.status == 200 then
		for _, name in ipairs(identity) do
			txn.http:req_set_header(name, list(answer.headers[name])[1] or "")
		end
		local nonce = list(answer.headers["dpop-nonce"])[1]
		if nonce ~= nil then
			txn:set_var("txn.nonce", nonce)
		end
		txn:set_var("txn.xenagate", "allowed") -- without it, haproxy.cfg refuses
		return
	end
	if answer == nil or not refusals[answer.status] then
		return outage(txn)
	end
	local headers = {}
	for _, name in ipairs(relayed) do
		headers[name] = list(answer.headers[name])
	end
	if answer.status == 503 and #headers["retry-after"] == 0 then -- HAProxy's own: xenagate can't be reached
		return outage(txn)
	end
	refuse(txn, answer.status, headers, answer.body or "")
end)
