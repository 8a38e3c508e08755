// The official openai client for Node on a gateway: node openai_node.mjs PACKAGE_FOLDER BASE_URL. One JSON on stdout.
import { createRequire } from "node:module";

const [folder, baseURL] = process.argv.slice(2);
const OpenAI = createRequire(`${folder}/x.js`)("openai");
const client = new OpenAI.OpenAI({ baseURL, apiKey: "unused", maxRetries: 0, timeout: 20000 });
const messages = [{ role: "user", content: "hi" }];
const tools = [{ type: "function", function: { name: "clock", parameters: { type: "object", properties: {} } } }];
const said = {};

async function joined(stream) {
  const found = { text: "", calls: {}, finish: null, usage: null, chunks: 0 };
  for await (const chunk of stream) {
    found.chunks += 1;
    found.usage = chunk.usage ?? found.usage;
    for (const choice of chunk.choices) {
      found.text += choice.delta.content ?? "";
      found.finish = choice.finish_reason ?? found.finish;
      for (const call of choice.delta.tool_calls ?? []) {
        const one = (found.calls[call.index] ??= { name: "", arguments: "" });
        one.name += call.function.name ?? "";
        one.arguments += call.function.arguments ?? "";
      }
    }
  }
  return found;
}

async function caught(work) {
  try {
    await work();
    return { name: null };
  } catch (error) {
    return { name: error.constructor.name, status: error.status ?? null, code: error.code ?? null, message: error.message };
  }
}

const whole = await client.chat.completions.create({ model: "fake-a", messages }).withResponse();
said.whole = {
  text: whole.data.choices[0].message.content, finish: whole.data.choices[0].finish_reason, usage: whole.data.usage,
  model: whole.response.headers.get("x-arbiter-model"),
};
said.streamed = await joined(
  await client.chat.completions.create({ model: "fake-a", messages, stream: true, stream_options: { include_usage: true } }),
);
const called = await client.chat.completions.create({ model: "tools", messages, tools, tool_choice: "auto" });
said.tools = called.choices[0].message.tool_calls.map((call) => call.function);
said.toolsStreamed = await joined(await client.chat.completions.create({ model: "tools", messages, tools, stream: true }));
const embedded = await client.embeddings.create({ model: "fake-a", input: ["a", "b"] });
said.embeddings = embedded.data.map((row) => row.embedding.length);
said.models = [];
for await (const model of client.models.list()) said.models.push(model.id);
said.completion = (await client.completions.create({ model: "fake-a", prompt: "hi" })).choices[0].text;
said.response = (await client.responses.create({ model: "fake-a", input: "hi" })).output_text;
said.unknown = await caught(() => client.chat.completions.create({ model: "nobody", messages }));
said.wrong = await caught(() => client.chat.completions.create({ model: "fake-a", messages: [] }));
said.dies = await caught(async () => joined(await client.chat.completions.create({ model: "dies", messages, stream: true })));
said.diesWhole = await caught(() => client.chat.completions.create({ model: "dies", messages }));
const left = await client.chat.completions.create({ model: "slow", messages, stream: true });
for await (const chunk of left) if (chunk.choices[0].delta.content) break;
said.left = true;
console.log(JSON.stringify(said));
