/** What WebGL2 needs said at length. */

export function program(gl: WebGL2RenderingContext, vertex: string, fragment: string): WebGLProgram {
  const made = gl.createProgram()!;
  for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]] as const) {
    const shader = gl.createShader(kind)!;
    gl.shaderSource(shader, `#version 300 es\nprecision highp float;\n${text}`);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
    gl.deleteShader(shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`a shader: ${gl.getProgramInfoLog(made)}`);
  }
  return made;
}

export type Uniforms<Name extends string> = Record<Name, WebGLUniformLocation | null>;

export function uniforms<Name extends string>(
  gl: WebGL2RenderingContext, from: WebGLProgram, ...names: Name[]
): Uniforms<Name> {
  return Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(from, name)])) as Uniforms<Name>;
}

export function buffer(gl: WebGL2RenderingContext, data: BufferSource): WebGLBuffer {
  const made = gl.createBuffer()!;
  gl.bindBuffer(gl.ARRAY_BUFFER, made);
  gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
  return made;
}
